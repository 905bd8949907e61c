"""Speed: the only figures that depend on the machine; printed, never written down."""

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.simulate import Scenario, simulate
from canary.analyze.samples import Skipped, judge_samples
from canary.core.evidence import EvidenceState, RatioPolicy, fold_intervals


def _lines(releases: int, seed: int) -> Iterator[str]:
    yield "release,time,canary_total,canary_bad,stable_total,stable_bad\n"
    for number in range(releases):
        sums = [0.0] * 4
        for interval in simulate(Scenario(), 15, np.random.default_rng([seed, number])):
            sums = [a + b for a, b in zip(sums, interval[2:6], strict=True)]
            yield f"auth-{number},{interval.end:g},{','.join(f'{v:.0f}' for v in sums)}\n"


def fold_milliseconds(seed: int) -> float:
    """Best of five folds of a 2 h release at 15 s samples."""
    intervals = list(simulate(Scenario(history=0), 15, np.random.default_rng(seed)))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        fold_intervals(EvidenceState(), RatioPolicy(), intervals)
        best = min(best, time.perf_counter() - start)
    return best * 1000


def rows_per_second(seed: int, releases: int = 60) -> float:
    """Rows of CSV that `canary analyze` judges in a second."""
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        path = Path(folder) / "samples.csv"
        path.write_text("".join(_lines(releases, seed)))
        rows = releases * 720
        start = time.perf_counter()
        list(judge_samples(str(path), RatioPolicy(), Skipped()))
        return rows / (time.perf_counter() - start)
