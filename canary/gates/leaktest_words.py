"""What a leak test came to, as an outcome. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.gates.leaktest_math import Slope, clean_requests
from canary.gates.leaktest_rounds import Finding, Kind, Policy, Round
from canary.gates.outcome import Case, Fact, Outcome
from canary.gates.thresholds import said_statuses
from canary.load import Tally
from canary.runbooks import runbook_url

OFFERED: Final = 0.9
"""Share of the due requests that must have been sent in time. Lower than a load test's: here
requests are counted, not timed."""
MOST_FAILED: Final = 0.1
"""Share of requests that may fail: an error page takes no connection, so it shows no leak."""
_MIB: Final = 1 << 20
_RUNBOOKS: Final = {
    Kind.LEAK: "ConnectionLeak",
    Kind.EXHAUSTED: "PoolExhausted",
    Kind.WAITING: "ConnectionsWaiting",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a leak test saw; times are seconds."""

    url: str
    policy: Policy
    rate: float
    """Requests/s for which it is said when a pool is empty."""
    rounds: tuple[Round, ...] = ()
    finding: Finding | None = None
    tally: Tally = field(default_factory=Tally)
    """Of canary's requests, warm-up left out."""
    seconds: float = 0.0
    rest: float = 0.0
    """How long the last drain was."""
    died: str = ""
    """Why canary is not there any more."""
    blind: str = ""
    """Why it could not be seen what is in use."""
    interrupted: bool = False


def outcome(seen: Seen) -> Outcome:
    """The verdict with its reasons."""
    cases = tuple(_cases(seen))
    code = _code(seen, cases)
    return Outcome(
        "leaktest",
        seen.url,
        code,
        _headline(seen, code, cases),
        cases,
        seconds=seen.seconds,
        facts=_facts(seen),
        next_steps=tuple(_steps(seen, code)),
    )


def _code(seen: Seen, cases: tuple[Case, ...]) -> ExitCode:
    verdicts = {case.verdict for case in cases}
    if Verdict.FAIL in verdicts:
        return ExitCode.FAILED
    if seen.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if verdicts == {Verdict.PASS} else ExitCode.INCONCLUSIVE


def _headline(seen: Seen, code: ExitCode, cases: tuple[Case, ...]) -> str:
    failed = next((case for case in cases if case.verdict is Verdict.FAIL), None)
    unknown = next((case for case in cases if case.verdict is not Verdict.PASS), None)
    match code:
        case ExitCode.OK:
            return f"no leak: {cases[0].sentence}"
        case ExitCode.INTERRUPTED:
            return f"interrupted after {seen.tally.over:,} requests, nothing is known yet"
        case _ if failed is not None:
            return failed.sentence
        case _:
            return f"inconclusive: {unknown.sentence if unknown else ''}"


def _cases(seen: Seen) -> Iterator[Case]:
    yield _connections(seen)
    if seen.died:
        yield Case("candidate", Verdict.FAIL, f"the candidate died: {seen.died}", seen.seconds)
    if seen.tally.due:
        yield _generator(seen.tally)
    if seen.tally.over:
        yield _requests(seen.tally)
    if seen.finding is not None:
        yield from _others(seen, seen.finding)


def _connections(seen: Seen) -> Case:
    finding = seen.finding
    if finding is None or not seen.rounds:
        why = seen.blind or seen.died or "it ended before the first load was over"
        return Case("connections", Verdict.NO_DATA, why, seen.seconds)
    verdict, sentence = _judged(seen, finding)
    facts: dict[str, Fact] = {
        "evidence": finding.evidence,
        "sureAt": seen.policy.sure,
        "lost": finding.lost,
        **_slope_facts(finding.slope),
    }
    return Case("connections", verdict, sentence, seen.seconds, facts)


def _judged(seen: Seen, finding: Finding) -> tuple[Verdict, str]:
    first, last = seen.rounds[0].canary, seen.rounds[-1].canary
    held = f"{first.in_use:g} in use at rest before, {last.in_use:g} after"
    counted = f"{held} {last.requests:,} requests"
    if finding.kind is Kind.LEAK:
        rest = f"{counted} and {seen.rest:.0f} s of rest"
        return Verdict.FAIL, f"{leak(seen, finding)} ({rest}{_interval(finding.slope)})"
    if finding.kind is Kind.EXHAUSTED:
        return Verdict.FAIL, (
            f"the pool {last.full} is empty though nothing is asked: {counted}, and none came back "
            f"in {seen.rest:.0f} s"
        )
    if seen.blind or seen.died:
        return Verdict.NO_DATA, seen.blind or "it cannot be said: the candidate died"
    if finding.kind is Kind.CLEAN:
        return Verdict.PASS, f"{counted}; 1 lost in {seen.policy.smallest:,g} is ruled out"
    needed = clean_requests(max(0.0, finding.lost), seen.policy.smallest, seen.policy.false_pass)
    return Verdict.NO_DATA, (
        f"{counted}, neither a leak for certain nor none: to rule out 1 lost in "
        f"{seen.policy.smallest:,g} takes {math.ceil(needed / 100) * 100:,} requests"
    )


def leak(seen: Seen, finding: Finding) -> str:
    """`leaks 1 connection per 4,900 requests; a pool of 50 is empty after 68 min at 60 req…`."""
    each = requests_per_leak(seen, finding)
    said = f"leaks 1 connection per {rounded(each)} requests"
    last = seen.rounds[-1].canary
    if last.maximum is None:
        return said
    free = max(0.0, last.maximum - seen.rounds[0].canary.in_use)
    return (
        f"{said}; a pool of {last.maximum:g} is empty after {long(free * each / seen.rate)} "
        f"at {seen.rate:g} requests/s"
    )


def requests_per_leak(seen: Seen, finding: Finding) -> float:
    """By the slope; by all of the rise where its median is no rise."""
    if finding.slope is not None and finding.slope.value > 0:
        return 1 / finding.slope.value
    return seen.rounds[-1].canary.requests / max(finding.lost, 1.0)


def _interval(slope: Slope | None) -> str:
    if slope is None or not math.isfinite(slope.high) or slope.high <= 0:
        return ""
    most = f"to {rounded(1 / slope.low)}" if slope.low > 0 else "or more"
    return f"; 95 % sure of {rounded(1 / slope.high)} {most}"


def _generator(tally: Tally) -> Case:
    sentence = f"{tally.offered_ratio:.1%} of {tally.due:,} requests sent when due"
    facts: dict[str, Fact] = {"due": tally.due, "late": tally.late, "unsent": tally.unsent}
    if tally.offered_ratio >= OFFERED:
        return Case("generator", Verdict.PASS, sentence, facts=facts)
    sentence += f": the generator was the limit, at least {OFFERED:.0%} are expected"
    return Case("generator", Verdict.NO_DATA, sentence, facts=facts)


def _requests(tally: Tally) -> Case:
    by = f": {said_statuses(tally.statuses)}" if tally.failed else ""
    sentence = f"{tally.failed:,} of {tally.over:,} failed ({tally.error_ratio:.2%}){by}"
    facts: dict[str, Fact] = {
        "over": tally.over,
        "failed": tally.failed,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
    }
    if tally.error_ratio <= MOST_FAILED:
        return Case("requests", Verdict.PASS, sentence, facts=facts)
    sentence += f"; at most {MOST_FAILED:.0%} are expected, for what fails may take no connection"
    return Case("requests", Verdict.NO_DATA, sentence, facts=facts)


def _others(seen: Seen, finding: Finding) -> Iterator[Case]:
    first, last = seen.rounds[0].canary, seen.rounds[-1].canary
    waits = Verdict.FAIL if finding.kind is Kind.WAITING else Verdict.PASS
    if last.waiting is not None:
        sentence = f"{last.waiting:g} callers wait for a connection at rest"
        yield Case("waiting", waits, sentence, facts={"waiting": last.waiting})
    if last.timeouts is not None:
        sentence = f"{last.timeouts:g} callers gave up at rest, in the last drain"
        failed = waits if not last.waiting else Verdict.PASS
        yield Case("timeouts", failed, sentence, facts={"timeouts": last.timeouts})
    if first.files is not None and last.files is not None:
        yield _file_case(first.files, last.files, finding)
    if first.memory is not None and last.memory is not None:
        yield _memory_case(first.memory, last.memory, finding.memory_slope)
    if seen.rounds[-1].stable is not None:
        yield _stable_case(seen)


def _file_case(first: float, last: float, finding: Finding) -> Case:
    sentence = f"{first:g} open at rest before, {last:g} after"
    facts: dict[str, Fact] = {
        "before": first,
        "after": last,
        "evidence": finding.file_evidence,
        **_slope_facts(finding.file_slope),
    }
    if finding.kind is not Kind.FILES or finding.file_slope is None:
        return Case("file descriptors", Verdict.PASS, sentence, facts=facts)
    each = rounded(1 / finding.file_slope.value)
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


def _stable_case(seen: Seen) -> Case:
    floors = [one.stable.in_use for one in seen.rounds if one.stable is not None]
    sentence = f"{floors[0]:g} in use at rest before, {floors[-1]:g} after the same load"
    rise = floors[-1] - min(floors[: seen.policy.idle])
    if rise >= seen.policy.least:
        sentence += "; warning: the present version keeps connections as well"
    return Case("stable", Verdict.PASS, sentence, facts={"lost": rise})


def _slope_facts(slope: Slope | None) -> dict[str, Fact]:
    """Per 1,000 requests, with the bounds of its interval of 95 %; an infinite one is null."""
    if slope is None:
        return {}
    finite = [1000 * v if math.isfinite(v) else None for v in (slope.low, slope.high)]
    return {"slopePer1000": slope.per_thousand, "slopeLow": finite[0], "slopeHigh": finite[1]}


def _facts(seen: Seen) -> dict[str, Fact]:
    finding, last = seen.finding, seen.rounds[-1].canary if seen.rounds else None
    return {
        "finding": str(finding.kind) if finding else None,
        "requests": last.requests if last else 0,
        "requestsPerLeak": requests_per_leak(seen, finding)
        if finding and finding.kind is Kind.LEAK
        else None,
        "poolMaximum": last.maximum if last else None,
        "falseAlarm": seen.policy.false_alarm,
        "ruledOut": seen.policy.smallest if finding and finding.kind is Kind.CLEAN else None,
        "floors": [
            {
                "requests": one.canary.requests,
                "inUse": one.canary.in_use,
                "stableInUse": one.stable.in_use if one.stable else None,
            }
            for one in seen.rounds
        ],
    }


def _steps(seen: Seen, code: ExitCode) -> Iterator[str]:
    kind = seen.finding.kind if seen.finding else Kind.UNDECIDED
    if code is ExitCode.FAILED and kind in _RUNBOOKS:
        yield "canary access . # in its source: finds connections that may not be given back"
        yield runbook_url(_RUNBOOKS[kind])
    if code is not ExitCode.INCONCLUSIVE or seen.blind:
        return
    if seen.tally.offered_ratio < OFFERED:
        yield "send less (--rate), from more processes (--workers), or from another machine"
    elif seen.tally.error_ratio > MOST_FAILED:
        yield "say with --requests what this version answers to"
    elif kind is Kind.UNDECIDED:
        yield "go on for longer (--duration), ask more often (--rate), or --rule-out a larger leak"


def rounded(value: float) -> str:
    """Two digits that count: `4,900`, `210`."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 1 else "1"


def long(seconds: float) -> str:
    """`80 s`, `68 min`, `31 h`, `12 days`."""
    for unit, name in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if seconds < 120 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:,.0f} days"
