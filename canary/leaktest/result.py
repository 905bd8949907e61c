"""What a leak test came to, as an outcome. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.leaktest.evaluation import LeakFinding, LeakKind, LeakTestPolicy, Round
from canary.leaktest.gauges import build_gauge_cases, format_rounded, format_span, slope_to_json
from canary.leaktest.statistics import Slope, clean_requests
from canary.loadtest.generator import RequestTally
from canary.loadtest.thresholds import format_statuses
from canary.results.gate_result import Case, Fact, Outcome
from canary.runbooks import runbook_url

MIN_OFFERED_RATIO: Final = 0.9
"""Share of the due requests that must have been sent in time. Lower than a load test's: here
requests are counted, not timed."""
MAX_FAILED_RATIO: Final = 0.1
"""Share of requests that may fail: an error page takes no connection, so it shows no leak."""
_UNKNOWN: Final = {
    "connections": "nothing is certain yet",
    "generator": "the generator was the limit",
    "requests": "too many requests failed",
    "file descriptors": "file descriptors still rise",
}
_RUNBOOKS: Final = {
    LeakKind.LEAK: "ConnectionLeak",
    LeakKind.EXHAUSTED: "PoolExhausted",
    LeakKind.WAITING: "ConnectionsWaiting",
}


@dataclass(frozen=True, slots=True)
class LeakTestObservations:
    """All that a leak test saw; times are seconds."""

    url: str
    policy: LeakTestPolicy
    rate: float
    """Requests/s for which it is said when a pool is empty."""
    rounds: tuple[Round, ...] = ()
    finding: LeakFinding | None = None
    tally: RequestTally = field(default_factory=RequestTally)
    """Of canary's requests, warm-up left out."""
    seconds: float = 0.0
    rest: float = 0.0
    """How long the last drain was."""
    busiest: float | None = None
    """The most connections that were in use under load, when it was looked; None: it never was."""
    died: str = ""
    """Why canary is not there any more."""
    blind: str = ""
    """Why it could not be seen what is in use."""
    interrupted: bool = False


def build_result(seen: LeakTestObservations) -> Outcome:
    """The verdict with its reasons."""
    cases = tuple(_build_cases(seen))
    code = _select_exit_code(seen, cases)
    return Outcome(
        "leaktest",
        seen.url,
        code,
        _build_headline(seen, code, cases),
        cases,
        seconds=seen.seconds,
        facts=_build_facts(seen),
        next_steps=tuple(_suggest_steps(seen, code)),
    )


def _select_exit_code(seen: LeakTestObservations, cases: tuple[Case, ...]) -> ExitCode:
    verdicts = {case.verdict for case in cases}
    if Verdict.FAIL in verdicts:
        return ExitCode.FAILED
    if seen.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if verdicts == {Verdict.PASS} else ExitCode.INCONCLUSIVE


def _build_headline(seen: LeakTestObservations, code: ExitCode, cases: tuple[Case, ...]) -> str:
    kind = seen.finding.kind if seen.finding else LeakKind.UNDECIDED
    match code:
        case ExitCode.OK:
            return f"no leak in {seen.tally.over:,} requests"
        case ExitCode.INTERRUPTED:
            return f"interrupted after {seen.tally.over:,} requests, nothing is known yet"
        case ExitCode.FAILED if seen.finding is not None and kind is LeakKind.LEAK:
            return describe_leak(seen, seen.finding)
        case ExitCode.FAILED:
            return next(case.sentence for case in cases if case.verdict is Verdict.FAIL)
        case _:
            unknown = [_UNKNOWN[case.name] for case in cases if case.verdict is Verdict.NO_DATA]
            blind = ["what is in use cannot be seen"] if seen.blind else []
            return f"inconclusive, {(blind + unknown[::-1])[0]}"


def _build_cases(seen: LeakTestObservations) -> Iterator[Case]:
    yield _connection_case(seen)
    if seen.died:
        yield Case("candidate", Verdict.FAIL, seen.died, seen.seconds)
    if seen.tally.due:
        yield _generator_case(seen.tally)
    if seen.tally.over:
        yield _request_case(seen.tally)
    if seen.finding is not None:
        yield from build_gauge_cases(seen.rounds, seen.finding, seen.policy)


def _connection_case(seen: LeakTestObservations) -> Case:
    finding = seen.finding
    if finding is None or not seen.rounds:
        why = seen.blind or seen.died or "it ended before the first load was over"
        return Case("connections", Verdict.NO_DATA, why, seen.seconds)
    verdict, sentence = _judge_connections(seen, finding)
    facts: dict[str, Fact] = {
        "evidence": finding.evidence,
        "sureAt": seen.policy.sure,
        "lost": finding.lost,
        **slope_to_json(finding.slope),
    }
    return Case("connections", verdict, sentence, seen.seconds, facts)


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
            f"the pool {last.full} is empty though nothing is asked: {counted}, and none came back "
            f"in {seen.rest:.0f} s"
        )
    if seen.blind or seen.died:
        return Verdict.NO_DATA, seen.blind or f"{counted}; it did not come to an end"
    if finding.clean:
        return Verdict.PASS, f"{counted}; 1 lost in {seen.policy.smallest:,g} is ruled out"
    needed = clean_requests(max(0.0, finding.lost), seen.policy.smallest, seen.policy.false_pass)
    return Verdict.NO_DATA, (
        f"{counted}, neither a leak for certain nor none: to rule out 1 lost in "
        f"{seen.policy.smallest:,g} takes {math.ceil(needed / 100) * 100:,} requests"
    )


def describe_leak(seen: LeakTestObservations, finding: LeakFinding) -> str:
    """`leaks 1 connection per 4,900 requests; a pool of 50 is empty after 68 min at 60 req…`."""
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
    """By the slope; by all of the rise where its median is no rise."""
    if finding.slope is not None and finding.slope.value > 0:
        return 1 / finding.slope.value
    return seen.rounds[-1].canary.requests / max(finding.lost, 1.0)


def _format_interval(slope: Slope | None) -> str:
    if slope is None or not math.isfinite(slope.high) or slope.high <= 0:
        return ""
    most = f"to {format_rounded(1 / slope.low)}" if slope.low > 0 else "or more"
    return f"; 95 % interval {format_rounded(1 / slope.high)} {most}"


def _generator_case(tally: RequestTally) -> Case:
    sentence = f"{tally.offered_ratio:.1%} of {tally.due:,} requests sent when due"
    facts: dict[str, Fact] = {"due": tally.due, "late": tally.late, "unsent": tally.unsent}
    if tally.offered_ratio >= MIN_OFFERED_RATIO:
        return Case("generator", Verdict.PASS, sentence, facts=facts)
    sentence += f": the generator was the limit, at least {MIN_OFFERED_RATIO:.0%} are expected"
    return Case("generator", Verdict.NO_DATA, sentence, facts=facts)


def _request_case(tally: RequestTally) -> Case:
    by = f": {format_statuses(tally.statuses)}" if tally.failed else ""
    sentence = f"{tally.failed:,} of {tally.over:,} failed ({tally.error_ratio:.2%}){by}"
    facts: dict[str, Fact] = {
        "over": tally.over,
        "failed": tally.failed,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
    }
    if tally.error_ratio <= MAX_FAILED_RATIO:
        return Case("requests", Verdict.PASS, sentence, facts=facts)
    sentence += (
        f"; at most {MAX_FAILED_RATIO:.0%} are expected, for what fails may take no connection"
    )
    return Case("requests", Verdict.NO_DATA, sentence, facts=facts)


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
        yield "canary access . # in its source: finds connections that may not be given back"
        yield runbook_url(_RUNBOOKS[kind])
    if code is ExitCode.OK and seen.busiest == 0:
        yield "no connection was ever seen in use: do these --requests reach the database?"
    if code is not ExitCode.INCONCLUSIVE or seen.blind:
        return
    if seen.tally.offered_ratio < MIN_OFFERED_RATIO:
        yield "send less (--rate), from more processes (--workers), or from another machine"
    elif seen.tally.error_ratio > MAX_FAILED_RATIO:
        yield "say with --requests what this version answers to"
    elif kind is LeakKind.UNDECIDED:
        yield "go on for longer (--duration), ask more often (--rate), or --rule-out a larger leak"
