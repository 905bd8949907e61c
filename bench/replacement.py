"""How soon a fix is let through while stable is broken: `python -m bench.replacement --help`.

Simulated releases at 5 % of 50 requests/s, judged every 5 s. Two canaries for each rate at which
stable fails: one without a fault, which must be shown to be better soon, and one that fails as
stable does, which must never be.
"""

import argparse
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.cli import DOCUMENT
from bench.simulate import Scenario, simulate
from canary.core.evidence import Judge, RatioPolicy
from canary.core.statistics import clopper_pearson, quantile_of_trials
from e2e.harness.result_table import write_table

STABLE = (0.1, 0.3, 0.5, 1.0)
"""Shares of stable's requests that fail."""
INTERVAL = 5
POLICY = RatioPolicy(warm_up=5.0, min_duration=30.0)
MARKER = "bench-replacement"


def seconds_until_better(scenario: Scenario, seed: Sequence[int]) -> float | None:
    """From the canary's first request until it is shown to be better; None: never."""
    judge = Judge(POLICY)
    for interval in simulate(scenario, INTERVAL, np.random.default_rng(seed)):
        judge.add_interval(interval)
        if judge.failed is None and judge.replacement.is_better(judge.baseline, POLICY):
            return interval.end
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """One rate of stable, and how both canaries fared."""

    stable: float
    releases: int
    fixes: Sequence[float | None]
    as_bad: int

    def __str__(self) -> str:
        found = [one for one in self.fixes if one is not None]
        high = clopper_pearson(self.as_bad, self.releases)[1]
        return (
            f"| {self.stable:.0%} | {len(found)} of {self.releases} |"
            f" {quantile_of_trials(found, 0.5, self.releases):.0f} |"
            f" {quantile_of_trials(found, 0.95, self.releases):.0f} |"
            f" {self.as_bad} of {self.releases} (≤ {high:.2%}) |"
        )


def rows(pool: ProcessPoolExecutor, releases: int, seed: int) -> Iterator[Row]:
    """All rates; a fix is followed for 10 min, a canary as bad as stable for 2 h."""
    for rate in STABLE:
        both = Scenario(rps=50, weight=0.05, stable=rate, history=600, length=7200)
        fix = Scenario(rps=50, weight=0.05, stable=rate, canary=0.0, history=600, length=600)
        seeds = [(seed, zlib.crc32(str(rate).encode()), n) for n in range(releases)]
        fixes = list(pool.map(partial(seconds_until_better, fix), seeds, chunksize=50))
        bad = pool.map(partial(seconds_until_better, both), seeds, chunksize=50)
        yield Row(rate, releases, fixes, sum(one is not None for one in bad))


HEAD = """| stable fails | fix let through | median (s) | p95 (s) | as bad as stable, let through |
|---|---|---|---|---|
"""


def main() -> None:
    """Prints the table; with --write also into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.replacement", description=__doc__)
    parser.add_argument("--releases", type=int, default=1000, help="per row (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    chosen = parser.parse_args()
    with ProcessPoolExecutor(chosen.jobs) as pool:
        found = HEAD + "".join(f"{row}\n" for row in rows(pool, chosen.releases, chosen.seed))
    print(found)
    if chosen.write:
        DOCUMENT.write_text(write_table(DOCUMENT.read_text("utf-8"), found, MARKER), "utf-8")


if __name__ == "__main__":
    main()
