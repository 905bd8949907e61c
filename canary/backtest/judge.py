"""What a policy would have decided about a release of the past, and whether that was right. Pure.

The traffic of the past was split as it was, so steps cannot be replayed: what is replayed is the
judge, interval by interval, with the spec's analysis. It would have rolled back at the first Fail,
and promoted at the first Pass of every metric after the steps' holds are over.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from canary.analyze.evaluation import Look, Span, failed, passed
from canary.api import Spec, Verdict, format_duration
from canary.backtest.releases import Fate, PastRelease
from canary.errors import ExitCode
from canary.results.gate_result import Case, Fact, Outcome
from canary.text.sanitize import make_one_line


class Decision(StrEnum):
    """What the policy would have done."""

    ROLL_BACK = "roll back"
    PROMOTE = "promote"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One release, judged again; times are seconds since the epoch, `bad` are canary requests."""

    release: PastRelease
    decision: Decision
    at: float | None
    failed_at: float | None
    """Also where it came after the promotion."""
    bad_by_then: float
    bad: float
    said: Look
    """The look that decided; where none did, the last one."""

    @property
    def false_rollback(self) -> bool:
        """Rolled back, and it was good."""
        return self.decision is Decision.ROLL_BACK and self.release.fate.good

    @property
    def missed(self) -> bool:
        """Promoted, and somebody says that it was bad."""
        return self.decision is Decision.PROMOTE and self.release.fate is Fate.BAD


def earliest(spec: Spec) -> float:
    """Seconds from the first traffic until a promotion is possible."""
    return max(sum(step.duration for step in spec.steps), spec.analysis.min_duration)


def decides(spec: Spec, span: Span) -> Callable[[Look], bool]:
    """Whether a look is one at which the policy would have acted."""
    soonest = span.start + earliest(spec)
    return lambda one: failed(one) or (passed(one) and one.at >= soonest)


def replayed(release: PastRelease, spec: Spec, span: Span, seen: Iterable[Look]) -> Replayed:
    """The first decision among these looks, and the bad requests by then and in all.

    Raises ValueError when there is no look.
    """
    acts = decides(spec, span)
    decided: tuple[Look, float] | None = None
    failed_at: float | None = None
    before, bad, last = 0.0, 0.0, None
    for one in seen:
        mine = max((metric.canary_bad for metric in one.judged.metrics), default=0.0)
        if span.alone_from is None or one.at <= span.alone_from:
            before = bad = mine
        else:  # where stable is gone the judge counts anew
            bad = before + mine
        if decided is None and acts(one):
            decided = one, bad
        if failed_at is None and failed(one):
            failed_at = one.at
        last = one
    if last is None:
        raise ValueError(f"{release.name} is shorter than one interval")
    said, by_then = decided or (last, bad)
    decision = _decision(said) if decided else Decision.NEITHER
    at = said.at if decided else None
    return Replayed(release, decision, at, failed_at, by_then, bad, said)


def _decision(said: Look) -> Decision:
    return Decision.ROLL_BACK if failed(said) else Decision.PROMOTE


def outcome_of(
    subject: str,
    every: Sequence[Replayed],
    *,
    strict: bool,
    seconds: float,
    facts: Mapping[str, Fact],
) -> Outcome:
    """One case per release. `strict`: a decision that was wrong fails the backtest."""
    false = sum(one.false_rollback for one in every)
    missed = sum(one.missed for one in every)
    counts = {decision: sum(one.decision is decision for one in every) for decision in Decision}
    good = sum(one.release.fate.good for one in every)
    wrong = bool(false or missed)
    return Outcome(
        command="backtest",
        subject=subject,
        code=ExitCode.FAILED if strict and wrong else ExitCode.OK,
        headline=_headline(counts, len(every), false, good) + _missed(missed),
        cases=tuple(_case(one, strict=strict) for one in every),
        seconds=seconds,
        facts={
            "releases": len(every),
            "good": good,
            "rolledBack": counts[Decision.ROLL_BACK],
            "promoted": counts[Decision.PROMOTE],
            "undecided": counts[Decision.NEITHER],
            "falseRollbacks": false,
            "missedFaults": missed,
            **facts,
        },
    )


def _headline(counts: dict[Decision, int], count: int, false: int, good: int) -> str:
    releases = "1 release" if count == 1 else f"{count} releases"
    return (
        f"of {releases} this policy would have promoted {counts[Decision.PROMOTE]}, rolled back "
        f"{counts[Decision.ROLL_BACK]} and decided nothing about {counts[Decision.NEITHER]}; "
        f"false rollbacks: {false} of {good} good ones"
    )


def _missed(missed: int) -> str:
    return f"; promoted though bad: {missed}" if missed else ""


COLUMNS = ("RELEASE", "START", "WAS", "DECISION", "AFTER", "BAD SEEN", "OF")
_RIGHT = COLUMNS[4:]


def table(every: Sequence[Replayed], shown_time: Callable[[float], str]) -> list[str]:
    """One line per release, below a line of headings."""
    rows = [COLUMNS, *(_row(one, shown_time) for one in every)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_cell, row, widths, COLUMNS)).rstrip() for row in rows]


def _row(one: Replayed, shown_time: Callable[[float], str]) -> tuple[str, ...]:
    after = "–" if one.at is None else _after(one)
    mark = " (!)" if one.false_rollback or one.missed else ""
    return (
        make_one_line(one.release.name),
        shown_time(one.release.start),
        str(one.release.fate),
        f"{one.decision}{mark}",
        after,
        f"{one.bad_by_then:,.0f}",
        f"{one.bad:,.0f}",
    )


def _cell(text: str, width: int, column: str) -> str:
    return text.rjust(width) if column in _RIGHT else text.ljust(width)


def _case(one: Replayed, *, strict: bool) -> Case:
    release, judged = one.release, one.said.judged
    took = None if one.at is None else one.at - release.start
    return Case(
        name=release.name,
        verdict=_verdict(one, strict=strict),
        sentence=_sentence(one),
        seconds=took or 0.0,
        facts={
            "decision": str(one.decision),
            "fate": str(release.fate),
            "start": release.start,
            "end": release.end,
            "decidedAt": one.at,
            "failedAt": one.failed_at,
            "reason": str(judged.reason) if judged.reason else None,
            "badByThen": one.bad_by_then,
            "bad": one.bad,
            "verdicts": {metric.name: str(metric.verdict) for metric in judged.metrics},
        },
    )


def _verdict(one: Replayed, *, strict: bool) -> Verdict:
    """Whether the policy was right; a wrong one fails only where that was asked for."""
    if one.false_rollback or one.missed:
        return Verdict.FAIL if strict else Verdict.CONTINUE
    if one.decision is Decision.NEITHER:
        silent = one.said.judged.final in {Verdict.NO_DATA, Verdict.UNAVAILABLE}
        return one.said.judged.final if silent else Verdict.CONTINUE
    return Verdict.PASS


def _sentence(one: Replayed) -> str:
    message, release = one.said.judged.message, one.release
    whole = format_duration(release.end - release.start)
    match one.decision:
        case Decision.NEITHER:
            text = f"no decision in {whole}: {message}"
        case Decision.ROLL_BACK:
            text = (
                f"rolled back after {_after(one)}, when users had seen {one.bad_by_then:,.0f} of "
                f"{one.bad:,.0f} bad requests: {message}"
            )
        case Decision.PROMOTE:
            text = f"promoted after {_after(one)}, with {one.bad:,.0f} bad requests in {whole}"
    if one.decision is Decision.PROMOTE and one.failed_at is not None:
        text += f"; the judge failed it {format_duration(one.failed_at - (one.at or 0.0))} later"
    if one.false_rollback:
        return f"wrong, it {_was(release.fate)}: {text}"
    return f"wrong, it was bad: {text}" if one.missed else text


def _was(fate: Fate) -> str:
    return "stayed" if fate is Fate.STAYED else "was good"


def _after(one: Replayed) -> str:
    return format_duration((one.at or 0.0) - one.release.start)
