"""Builds the result of a leak test. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from canary.api import Verdict
from canary.core.statistics import Slope
from canary.errors import ExitCode
from canary.leaktest.evaluation import LeakFinding, LeakKind, LeakTestPolicy, Round
from canary.leaktest.evidence import clean_requests
from canary.loadtest.generator import RequestTally
from canary.loadtest.thresholds import format_statuses
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.runbooks import runbook_url

_MIB: Final = 1 << 20
MAX_FAILED_RATIO: Final = 0.1
"""Share of requests that may fail: a failed request may take no connection, so it hides a leak."""
_UNKNOWN: Final = {
    "connections": "more requests are needed",
    "generator": "the load generator was the limit",
    "requests": "too many requests failed",
    "file descriptors": "file descriptors are still rising",
}
_RUNBOOKS: Final = {
    LeakKind.LEAK: "ConnectionLeak",
    LeakKind.EXHAUSTED: "PoolExhausted",
    LeakKind.WAITING: "ConnectionsWaiting",
}


@dataclass(frozen=True, slots=True)
class LeakTestObservations:
    """Everything that a leak test observed; times are seconds."""

    url: str
    policy: LeakTestPolicy
    rate: float
    """Requests per second for which the time until the pool is empty is predicted."""
    rounds: tuple[Round, ...] = ()
    finding: LeakFinding | None = None
    tally: RequestTally = field(default_factory=RequestTally)
    """The candidate's requests, excluding warm-up."""
    seconds: float = 0.0
    rest: float = 0.0
    """Length of the last drain."""
    busiest: float | None = None
    """Most connections in use seen under load; None: no reading under load."""
    died: str = ""
    """Why the candidate is considered dead; empty: it is alive."""
    unreadable: str = ""
    """Why the gauges could not be read; empty: they could."""
    interrupted: bool = False


def build_result(seen: LeakTestObservations) -> GateResult:
    """Build the result: exit code, headline, cases and next steps."""
    cases = tuple(_build_cases(seen))
    code = _select_exit_code(seen, cases)
    return GateResult(
        "leaktest",
        seen.url,
        code,
        _build_headline(seen, code, cases),
        cases,
        seconds=seen.seconds,
        facts=_build_facts(seen),
        next_steps=tuple(_suggest_steps(seen, code)),
    )


def _select_exit_code(seen: LeakTestObservations, cases: tuple[ResultCase, ...]) -> ExitCode:
    verdicts = {case.verdict for case in cases}
    if Verdict.FAIL in verdicts:
        return ExitCode.FAILED
    if seen.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if verdicts == {Verdict.PASS} else ExitCode.INCONCLUSIVE


def _build_headline(
    seen: LeakTestObservations, code: ExitCode, cases: tuple[ResultCase, ...]
) -> str:
    kind = seen.finding.kind if seen.finding else LeakKind.UNDECIDED
    match code:
        case ExitCode.OK:
            return f"no leak in {seen.tally.over:,} requests"
        case ExitCode.INTERRUPTED:
            return f"interrupted after {seen.tally.over:,} requests, no verdict"
        case ExitCode.FAILED if seen.finding is not None and kind is LeakKind.LEAK:
            return describe_leak(seen, seen.finding)
        case ExitCode.FAILED:
            return next(case.sentence for case in cases if case.verdict is Verdict.FAIL)
        case _:
            unknown = [_UNKNOWN[case.name] for case in cases if case.verdict is Verdict.NO_DATA]
            unreadable = ["connections in use cannot be read"] if seen.unreadable else []
            return f"inconclusive, {(unreadable + unknown[::-1])[0]}"


def _build_cases(seen: LeakTestObservations) -> Iterator[ResultCase]:
    yield _connection_case(seen)
    if seen.died:
        yield ResultCase("candidate", Verdict.FAIL, seen.died, seen.seconds)
    if seen.tally.due:
        yield _generator_case(seen.tally, seen.policy.min_offered_ratio)
    if seen.tally.over:
        yield _request_case(seen.tally)
    if seen.finding is not None:
        yield from build_gauge_cases(seen.rounds, seen.finding, seen.policy)


def _connection_case(seen: LeakTestObservations) -> ResultCase:
    finding = seen.finding
    if finding is None or not seen.rounds:
        why = seen.unreadable or seen.died or "the test ended during the first load"
        return ResultCase("connections", Verdict.NO_DATA, why, seen.seconds)
    verdict, sentence = _judge_connections(seen, finding)
    facts: dict[str, Fact] = {
        "evidence": finding.evidence,
        "sureAt": seen.policy.leak_threshold,
        "lost": finding.lost,
        **slope_to_json(finding.slope),
    }
    return ResultCase("connections", verdict, sentence, seen.seconds, facts)


def _judge_connections(seen: LeakTestObservations, finding: LeakFinding) -> tuple[Verdict, str]:
    first, last = seen.rounds[0].canary, seen.rounds[-1].canary
    held = f"{first.in_use:g} in use at rest before, {last.in_use:g} after"
    counted = f"{held} {last.requests:,} requests"
    if finding.kind is LeakKind.LEAK:
        rest = f"{counted} and {seen.rest:.0f} s of rest"
        return (
            Verdict.FAIL,
            f"{describe_leak(seen, finding)} ({rest}{_format_interval(finding.slope)})",
        )
    if finding.kind is LeakKind.EXHAUSTED:
        return Verdict.FAIL, (
            f"the pool {last.full} has no free connection at rest: {counted}, and none was "
            f"returned within {seen.rest:.0f} s"
        )
    if seen.unreadable or seen.died:
        return Verdict.NO_DATA, seen.unreadable or f"{counted}; the test was not completed"
    if finding.clean:
        return Verdict.PASS, f"{counted}; a leak of 1 in {seen.policy.smallest:,g} is ruled out"
    needed = clean_requests(max(0.0, finding.lost), seen.policy.smallest, seen.policy.false_pass)
    return Verdict.NO_DATA, (
        f"{counted}, which neither proves nor rules out a leak: ruling out 1 in "
        f"{seen.policy.smallest:,g} takes {math.ceil(needed / 100) * 100:,} requests"
    )


def describe_leak(seen: LeakTestObservations, finding: LeakFinding) -> str:
    """Return `leaks 1 connection per 4,900 requests; a pool of 50 is empty after 68 min at …`."""
    each = requests_per_leak(seen, finding)
    said = f"leaks 1 connection per {format_rounded(each)} requests"
    last = seen.rounds[-1].canary
    if last.maximum is None:
        return said
    free = max(0.0, last.maximum - seen.rounds[0].canary.in_use)
    return (
        f"{said}; a pool of {last.maximum:g} is empty after {format_span(free * each / seen.rate)} "
        f"at {seen.rate:g} requests/s"
    )


def requests_per_leak(seen: LeakTestObservations, finding: LeakFinding) -> float:
    """Return requests per lost connection: by the slope, or by the whole rise if it is not > 0."""
    if finding.slope is not None and finding.slope.value > 0:
        return 1 / finding.slope.value
    return seen.rounds[-1].canary.requests / max(finding.lost, 1.0)


def _format_interval(slope: Slope | None) -> str:
    if slope is None or not math.isfinite(slope.high) or slope.high <= 0:
        return ""
    most = f"to {format_rounded(1 / slope.low)}" if slope.low > 0 else "or more"
    return f"; 95 % interval {format_rounded(1 / slope.high)} {most}"


def _generator_case(tally: RequestTally, expected: float) -> ResultCase:
    sentence = f"{tally.offered_ratio:.1%} of {tally.due:,} requests sent when due"
    facts: dict[str, Fact] = {"due": tally.due, "late": tally.late, "unsent": tally.unsent}
    if tally.offered_ratio >= expected:
        return ResultCase("generator", Verdict.PASS, sentence, facts=facts)
    sentence += f": the load generator was the limit, expected at least {expected:.0%}"
    return ResultCase("generator", Verdict.NO_DATA, sentence, facts=facts)


def _request_case(tally: RequestTally) -> ResultCase:
    by = f": {format_statuses(tally.statuses)}" if tally.failed else ""
    sentence = f"{tally.failed:,} of {tally.over:,} failed ({tally.error_ratio:.2%}){by}"
    facts: dict[str, Fact] = {
        "over": tally.over,
        "failed": tally.failed,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
    }
    if tally.error_ratio <= MAX_FAILED_RATIO:
        return ResultCase("requests", Verdict.PASS, sentence, facts=facts)
    sentence += (
        f"; expected at most {MAX_FAILED_RATIO:.0%}, because a failed request may take no "
        "connection"
    )
    return ResultCase("requests", Verdict.NO_DATA, sentence, facts=facts)


def build_gauge_cases(
    rounds: Sequence[Round], finding: LeakFinding, policy: LeakTestPolicy
) -> Iterator[ResultCase]:
    """Yield a case for each gauge that the pages have, except connections in use."""
    first, last = rounds[0].canary, rounds[-1].canary
    waits = Verdict.FAIL if finding.kind is LeakKind.WAITING else Verdict.PASS
    if last.waiting is not None:
        sentence = f"{last.waiting:g} callers wait for a connection at rest"
        yield ResultCase("waiting", waits, sentence, facts={"waiting": last.waiting})
    if last.timeouts is not None:
        sentence = f"{last.timeouts:g} callers gave up waiting in the last drain"
        failed = waits if not last.waiting else Verdict.PASS
        yield ResultCase("timeouts", failed, sentence, facts={"timeouts": last.timeouts})
    if first.files is not None and last.files is not None:
        yield _file_case(first.files, last.files, finding)
    if first.memory is not None and last.memory is not None:
        yield _memory_case(first.memory, last.memory, finding.memory_slope)
    if rounds[-1].stable is not None:
        yield _stable_case(rounds, policy)


def _file_case(first: float, last: float, finding: LeakFinding) -> ResultCase:
    sentence = f"{first:g} open at rest before, {last:g} after"
    facts: dict[str, Fact] = {
        "before": first,
        "after": last,
        "evidence": finding.file_evidence,
        **slope_to_json(finding.file_slope),
    }
    if finding.kind is LeakKind.UNDECIDED and finding.clean and finding.files_rise:
        sentence += ", and still rising: more loads are needed for a verdict"
        return ResultCase("file descriptors", Verdict.NO_DATA, sentence, facts=facts)
    if finding.kind is not LeakKind.FILES or finding.file_slope is None:
        return ResultCase("file descriptors", Verdict.PASS, sentence, facts=facts)
    each = format_rounded(1 / finding.file_slope.value)
    sentence = f"leaks 1 file descriptor per {each} requests ({sentence})"
    return ResultCase("file descriptors", Verdict.FAIL, sentence, facts=facts)


def _memory_case(first: float, last: float, slope: Slope | None) -> ResultCase:
    sentence = f"{first / _MIB:,.0f} MiB at rest before, {last / _MIB:,.0f} MiB after"
    if slope is not None and slope.low > 0:
        more = slope.per_thousand / _MIB
        sentence += (
            f"; warning: memory was still growing at the end, by {more:.2g} MiB per 1,000 "
            "requests: a leak, or caches that are not full yet"
        )
    facts: dict[str, Fact] = {"beforeBytes": first, "afterBytes": last}
    return ResultCase("memory", Verdict.PASS, sentence, facts=facts)


def _stable_case(rounds: Sequence[Round], policy: LeakTestPolicy) -> ResultCase:
    floors = [one.stable.in_use for one in rounds if one.stable is not None]
    sentence = f"{floors[0]:g} in use at rest before, {floors[-1]:g} after the same load"
    rise = floors[-1] - min(floors[: policy.idle])
    if rise >= policy.least:
        sentence += "; warning: the stable version leaks connections as well"
    return ResultCase("stable", Verdict.PASS, sentence, facts={"lost": rise})


def slope_to_json(slope: Slope | None) -> dict[str, Fact]:
    """Return the slope per 1,000 requests with its 95 % interval; an infinite bound is null."""
    if slope is None:
        return {}
    finite = [1000 * v if math.isfinite(v) else None for v in (slope.low, slope.high)]
    return {"slopePer1000": slope.per_thousand, "slopeLow": finite[0], "slopeHigh": finite[1]}


def format_rounded(value: float) -> str:
    """Format a number with two significant digits: `4,900`, `210`."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 1 else "1"


def format_span(seconds: float) -> str:
    """Format a time in its natural unit: `80 s`, `68 min`, `31 h`, `12 days`."""
    for unit, name in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if seconds < 120 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:,.0f} days"


def _build_facts(seen: LeakTestObservations) -> dict[str, Fact]:
    finding, last = seen.finding, seen.rounds[-1].canary if seen.rounds else None
    return {
        "finding": str(finding.kind) if finding else None,
        "requests": last.requests if last else 0,
        "requestsPerLeak": requests_per_leak(seen, finding)
        if finding and finding.kind is LeakKind.LEAK
        else None,
        "poolMaximum": last.maximum if last else None,
        "falsePositiveRate": seen.policy.false_positive_rate,
        "ruledOut": seen.policy.smallest if finding and finding.kind is LeakKind.CLEAN else None,
        "floors": [_floors_to_json(one) for one in seen.rounds[seen.policy.idle - 1 :]],
    }


def _floors_to_json(one: Round) -> dict[str, Fact]:
    floors: dict[str, Fact] = {"requests": one.canary.requests, "inUse": one.canary.in_use}
    return floors if one.stable is None else floors | {"stableInUse": one.stable.in_use}


def _suggest_steps(seen: LeakTestObservations, code: ExitCode) -> Iterator[str]:
    kind = seen.finding.kind if seen.finding else LeakKind.UNDECIDED
    if code is ExitCode.FAILED and kind in _RUNBOOKS:
        yield "canary access . # in the source directory: finds connections that may leak"
        yield runbook_url(_RUNBOOKS[kind])
    if code is ExitCode.OK and seen.busiest == 0:
        yield "no connection was in use under load: check that --requests reach the database"
    if code is not ExitCode.INCONCLUSIVE or seen.unreadable:
        return
    if seen.tally.offered_ratio < seen.policy.min_offered_ratio:
        yield "reduce --rate, increase --workers, or use another machine"
    elif seen.tally.error_ratio > MAX_FAILED_RATIO:
        yield "describe requests that this version accepts with --requests"
    elif kind is LeakKind.UNDECIDED:
        yield "increase --duration or --rate, or rule out only a larger leak (smaller --rule-out)"
