"""What the judge says of many kinds of seeded releases, to compare two versions of its code.

`python -m bench.verdicts --write FILE` before a change that must not alter a verdict (a faster
judge, moved code), `--compare FILE` after it: verdicts and their times must be equal, figures to
one part in a billion. Every row of the benchmark is there, the kinds of policies, and a promotion.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np

from bench.scenarios import BAD, GOOD, SUDDEN
from bench.simulate import Scenario, simulate
from canary.core.evidence import (
    EvidenceState,
    Interval,
    Judge,
    RatioPolicy,
    assess_evidence,
    start_after_promotion,
)

NEAR = 1e-9
"""Figures may differ by this much of their size; another order of additions changes that little."""
_EVERY = 16
_POLICIES = {
    "default": RatioPolicy(),
    "no limit": RatioPolicy(limit=None),
    "no tolerated incident": RatioPolicy(tolerated_incident=0.0),
    "no warm-up": RatioPolicy(warm_up=0.0, min_duration=0.0),
}


def releases(seeds: int) -> Iterator[tuple[str, RatioPolicy, list[Interval]]]:
    """Name, policy and increments of each release."""
    rows = [(row, (15, 5)) for row in (*GOOD, *BAD)] + [(row, (5, 1)) for row in SUDDEN]
    for row, intervals in rows:
        for (number, scenario), interval in product(enumerate(row.scenarios), intervals):
            for seed in range(seeds):
                name = f"{row.name} {number}, {interval} s, seed {seed}"
                yield name, scenario.policy, _intervals(scenario, interval, seed)
    for (name, policy), interval in product(_POLICIES.items(), (15, 5, 1)):
        for canary, seed in product((None, 0.004, 0.05), range(seeds)):
            scenario = Scenario(canary=canary, onset=1200.0, length=3600.0, pods=(3, 2))
            yield (
                f"{name} {canary}, {interval} s, {seed}",
                policy,
                _intervals(scenario, interval, seed),
            )


def _intervals(scenario: Scenario, interval: int, seed: int) -> list[Interval]:
    rng = np.random.default_rng([seed, interval])
    return list(simulate(scenario, interval, rng))


def said(policy: RatioPolicy, intervals: Sequence[Interval]) -> dict[str, object]:
    """Evidence on the way, what is said at the end, and of the last part as a promoted version."""
    course, judge = [], Judge(policy)
    for number, interval in enumerate(intervals):
        judge.add_interval(interval)
        if number % _EVERY == 0:
            course.append((judge.evidence(), judge.windows.wealth, judge.passing_since))
    state = judge.state()
    return {
        "course": course,
        "end": asdict(assess_evidence(state, policy)),
        "state": asdict(state),
        "alone": _alone(policy, state, intervals[-len(intervals) // 4 :]),
    }


def _alone(
    policy: RatioPolicy, state: EvidenceState, intervals: Sequence[Interval]
) -> dict[str, object]:
    alone = policy.after_promotion()
    judge = Judge(alone, start_after_promotion(state, policy))
    for one in intervals:
        judge.add_interval(_without_stable(one))
    return {"evidence": judge.evidence(), "end": asdict(assess_evidence(judge.state(), alone))}


def _without_stable(interval: Interval) -> Interval:
    """The canary by itself."""
    return interval._replace(stable_total=0.0, stable_bad=0.0, pods=(), strata=())


def differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Where two recordings differ, in words."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key in before:
            yield from differences(before[key], after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif isinstance(before, float) and isinstance(after, float):
        if not math.isclose(before, after, rel_tol=NEAR, abs_tol=NEAR):
            yield f"{path}: {before!r} became {after!r}"
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a recording, or compares with one; 1: something differs."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", type=Path, metavar="FILE")
    choice.add_argument("--compare", type=Path, metavar="FILE")
    parser.add_argument("--seeds", type=int, default=2, help="releases of each kind (default 2)")
    options = parser.parse_args(arguments)
    found = (
        json.loads(json.dumps([name, said(policy, intervals)]))
        for name, policy, intervals in releases(options.seeds)
    )
    if options.write:
        with options.write.open("w") as file:
            file.writelines(json.dumps(one) + "\n" for one in found)
        return 0
    wrong = count = 0
    with options.compare.open() as file:
        for line, after in zip(file, found, strict=True):
            count += 1
            every = list(differences(json.loads(line), after))
            wrong += bool(every)
            for one in every[:3]:
                print(f"{after[0]}: {one}")
    print(f"{count} releases compared, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
