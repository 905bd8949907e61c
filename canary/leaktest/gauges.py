"""What else stays up: waiting callers, file descriptors, memory; and the present version. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from canary.api import Verdict
from canary.leaktest.evaluation import LeakFinding, LeakKind, LeakTestPolicy, Round
from canary.leaktest.statistics import Slope
from canary.results.gate_result import Case, Fact

_MIB: Final = 1 << 20


def build_gauge_cases(
    rounds: Sequence[Round], finding: LeakFinding, policy: LeakTestPolicy
) -> Iterator[Case]:
    """A case for each gauge that was told, beside connections in use."""
    first, last = rounds[0].canary, rounds[-1].canary
    waits = Verdict.FAIL if finding.kind is LeakKind.WAITING else Verdict.PASS
    if last.waiting is not None:
        sentence = f"{last.waiting:g} callers wait for a connection at rest"
        yield Case("waiting", waits, sentence, facts={"waiting": last.waiting})
    if last.timeouts is not None:
        sentence = f"{last.timeouts:g} callers gave up waiting in the last drain"
        failed = waits if not last.waiting else Verdict.PASS
        yield Case("timeouts", failed, sentence, facts={"timeouts": last.timeouts})
    if first.files is not None and last.files is not None:
        yield _file_case(first.files, last.files, finding)
    if first.memory is not None and last.memory is not None:
        yield _memory_case(first.memory, last.memory, finding.memory_slope)
    if rounds[-1].stable is not None:
        yield _stable_case(rounds, policy)


def _file_case(first: float, last: float, finding: LeakFinding) -> Case:
    sentence = f"{first:g} open at rest before, {last:g} after"
    facts: dict[str, Fact] = {
        "before": first,
        "after": last,
        "evidence": finding.file_evidence,
        **slope_to_json(finding.file_slope),
    }
    if finding.kind is LeakKind.UNDECIDED and finding.clean and finding.files_rise:
        sentence += ", and they still rise: it takes more loads to know"
        return Case("file descriptors", Verdict.NO_DATA, sentence, facts=facts)
    if finding.kind is not LeakKind.FILES or finding.file_slope is None:
        return Case("file descriptors", Verdict.PASS, sentence, facts=facts)
    each = format_rounded(1 / finding.file_slope.value)
    sentence = f"leaks 1 file descriptor per {each} requests ({sentence})"
    return Case("file descriptors", Verdict.FAIL, sentence, facts=facts)


def _memory_case(first: float, last: float, slope: Slope | None) -> Case:
    sentence = f"{first / _MIB:,.0f} MiB at rest before, {last / _MIB:,.0f} MiB after"
    if slope is not None and slope.low > 0:
        more = slope.per_thousand / _MIB
        sentence += (
            f"; warning: it grew to the end, by {more:.2g} MiB per 1,000 requests: a leak, or "
            "caches that are not full yet"
        )
    facts: dict[str, Fact] = {"beforeBytes": first, "afterBytes": last}
    return Case("memory", Verdict.PASS, sentence, facts=facts)


def _stable_case(rounds: Sequence[Round], policy: LeakTestPolicy) -> Case:
    floors = [one.stable.in_use for one in rounds if one.stable is not None]
    sentence = f"{floors[0]:g} in use at rest before, {floors[-1]:g} after the same load"
    rise = floors[-1] - min(floors[: policy.idle])
    if rise >= policy.least:
        sentence += "; warning: the present version keeps connections as well"
    return Case("stable", Verdict.PASS, sentence, facts={"lost": rise})


def slope_to_json(slope: Slope | None) -> dict[str, Fact]:
    """Per 1,000 requests, with the bounds of its interval of 95 %; an infinite one is null."""
    if slope is None:
        return {}
    finite = [1000 * v if math.isfinite(v) else None for v in (slope.low, slope.high)]
    return {"slopePer1000": slope.per_thousand, "slopeLow": finite[0], "slopeHigh": finite[1]}


def format_rounded(value: float) -> str:
    """Two digits that count: `4,900`, `210`."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 1 else "1"


def format_span(seconds: float) -> str:
    """`80 s`, `68 min`, `31 h`, `12 days`."""
    for unit, name in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if seconds < 120 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:,.0f} days"
