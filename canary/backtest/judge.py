"""Replays the analysis of past releases and compares its decisions with what happened. Pure.

The recorded traffic cannot be split differently, so the steps of the spec are not replayed. The
analysis is, interval by interval. The policy rolls back at the first evaluation that fails. It
promotes at the first evaluation in which every metric passes, but not before the sum of the steps'
durations is over.

For example, with two steps of 5 minutes: all metrics pass after 7 minutes, so the promotion comes
at the first passing evaluation after 10 minutes. If a metric fails at minute 8, the decision is a
rollback. If it fails at minute 20, the decision stays a promotion and `failed_at` records the late
failure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from canary.analyze.evaluation import AnalysisWindow, Evaluation, has_failed, has_passed
from canary.api import Spec, Verdict, format_duration
from canary.backtest.releases import GroundTruth, PastRelease
from canary.core.request_counts import count_bad_requests
from canary.errors import ExitCode
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.text.format import format_short_time
from canary.text.sanitize import make_one_line


class ReplayDecision(StrEnum):
    """The decision that the policy would have made."""

    ROLL_BACK = "roll back"
    PROMOTE = "promote"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class ReplayedRelease:
    """One past release with the decision of the policy. Times are in seconds since the epoch."""

    release: PastRelease
    decision: ReplayDecision
    at: float | None
    failed_at: float | None
    """The first failing evaluation, even if the promotion came before it."""
    bad_by_then: float
    bad: float
    said: Evaluation
    """The evaluation that led to the decision, or the last one if there was no decision."""

    @property
    def false_rollback(self) -> bool:
        """Whether a good release was rolled back."""
        return self.decision is ReplayDecision.ROLL_BACK and self.release.fate.good

    @property
    def missed(self) -> bool:
        """Whether a bad release was promoted."""
        return self.decision is ReplayDecision.PROMOTE and self.release.fate is GroundTruth.BAD


def earliest_promotion(spec: Spec) -> float:
    """Return the seconds from the first canary traffic until the policy may promote."""
    return max(sum(step.duration for step in spec.steps), spec.analysis.min_duration)


def decision_rule(spec: Spec, span: AnalysisWindow) -> Callable[[Evaluation], bool]:
    """Return a predicate that tells whether the policy acts at an evaluation."""
    soonest = span.start + earliest_promotion(spec)
    return lambda one: has_failed(one) or (has_passed(one) and one.at >= soonest)


def replay_release(
    release: PastRelease, spec: Spec, span: AnalysisWindow, seen: Iterable[Evaluation]
) -> ReplayedRelease:
    """Return the first decision, with the canary's bad requests until then and in total.

    Raises ValueError if the release is shorter than one interval.
    """
    # All evaluations are read, also those after the decision: `bad` is what users would have seen
    # without it, and a failure after the promotion is worth knowing.
    acts = decision_rule(spec, span)
    decided: tuple[Evaluation, float] | None = None
    failed_at: float | None = None
    before, bad, last = 0.0, 0.0, None
    for one in seen:
        counted = count_bad_requests(one.judged.metrics, spec.analysis)
        mine = 0.0 if counted is None else counted.bad
        if span.alone_from is None or one.at <= span.alone_from:
            before = bad = mine
        else:
            # Once stable is gone the analysis restarts its count, so the earlier requests are
            # added.
            bad = before + mine
        # The first decision counts, as in a release: a version that was rolled back does not come
        # back because it looks better an hour later.
        if decided is None and acts(one):
            decided = one, bad
        if failed_at is None and has_failed(one):
            failed_at = one.at
        last = one
    if last is None:
        raise ValueError(f"{release.name} is shorter than one interval")
    said, by_then = decided or (last, bad)
    decision = _decision_of(said) if decided else ReplayDecision.NEITHER
    at = said.at if decided else None
    return ReplayedRelease(release, decision, at, failed_at, by_then, bad, said)


def _decision_of(said: Evaluation) -> ReplayDecision:
    return ReplayDecision.ROLL_BACK if has_failed(said) else ReplayDecision.PROMOTE


def build_result(
    subject: str,
    every: Sequence[ReplayedRelease],
    *,
    strict: bool,
    seconds: float,
    facts: Mapping[str, Fact],
) -> GateResult:
    """Return one case per release. With `strict` a wrong decision fails the backtest."""
    false = sum(one.false_rollback for one in every)
    missed = sum(one.missed for one in every)
    counts = {
        decision: sum(one.decision is decision for one in every) for decision in ReplayDecision
    }
    # Nothing that is decided about a release of unknown truth counts as wrong.
    good = sum(one.release.fate.good for one in every)
    wrong = bool(false or missed)
    return GateResult(
        command="backtest",
        subject=subject,
        code=ExitCode.FAILED if strict and wrong else ExitCode.OK,
        headline=_format_headline(counts, len(every), false, good) + _format_missed(missed),
        cases=tuple(_build_case(one, strict=strict) for one in every),
        seconds=seconds,
        facts={
            "releases": len(every),
            "good": good,
            "rolledBack": counts[ReplayDecision.ROLL_BACK],
            "promoted": counts[ReplayDecision.PROMOTE],
            "undecided": counts[ReplayDecision.NEITHER],
            "falseRollbacks": false,
            "missedFaults": missed,
            **facts,
        },
    )


def _format_headline(counts: dict[ReplayDecision, int], count: int, false: int, good: int) -> str:
    releases = "1 release" if count == 1 else f"{count} releases"
    return (
        f"of {releases} this policy would have promoted {counts[ReplayDecision.PROMOTE]}, rolled "
        f"back {counts[ReplayDecision.ROLL_BACK]} and decided nothing about "
        f"{counts[ReplayDecision.NEITHER]}; "
        f"false rollbacks: {false} of {good} good ones"
    )


def _format_missed(missed: int) -> str:
    return f"; promoted though bad: {missed}" if missed else ""


COLUMNS = ("RELEASE", "START", "WAS", "DECISION", "AFTER", "BAD SEEN", "OF")
_RIGHT_ALIGNED = COLUMNS[4:]


def render_table(every: Sequence[ReplayedRelease]) -> list[str]:
    """Return a line of headings, and one line per release."""
    rows = [COLUMNS, *map(_format_row, every)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_align_cell, row, widths, COLUMNS)).rstrip() for row in rows]


def _format_row(one: ReplayedRelease) -> tuple[str, ...]:
    after = "–" if one.at is None else _format_delay(one)
    mark = " (!)" if one.false_rollback or one.missed else ""
    return (
        make_one_line(one.release.name),
        format_short_time(one.release.start),
        str(one.release.fate),
        f"{one.decision}{mark}",
        after,
        f"{one.bad_by_then:,.0f}",
        f"{one.bad:,.0f}",
    )


def _align_cell(text: str, width: int, column: str) -> str:
    return text.rjust(width) if column in _RIGHT_ALIGNED else text.ljust(width)


def _build_case(one: ReplayedRelease, *, strict: bool) -> ResultCase:
    release, judged = one.release, one.said.judged
    took = None if one.at is None else one.at - release.start
    return ResultCase(
        name=release.name,
        verdict=_verdict_of(one, strict=strict),
        sentence=_format_sentence(one),
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


def _verdict_of(one: ReplayedRelease, *, strict: bool) -> Verdict:
    """Return Pass for a correct decision; a wrong one is Fail with `strict`, else Continue."""
    if one.false_rollback or one.missed:
        return Verdict.FAIL if strict else Verdict.CONTINUE
    # No decision has two causes: too little evidence (longer releases help) and no metrics at all.
    if one.decision is ReplayDecision.NEITHER:
        silent = one.said.judged.final in {Verdict.NO_DATA, Verdict.UNAVAILABLE}
        return one.said.judged.final if silent else Verdict.CONTINUE
    return Verdict.PASS


def _format_sentence(one: ReplayedRelease) -> str:
    message, release = one.said.judged.message, one.release
    whole = format_duration(release.end - release.start)
    match one.decision:
        case ReplayDecision.NEITHER:
            text = f"no decision in {whole}: {message}"
        case ReplayDecision.ROLL_BACK:
            text = (
                f"rolled back after {_format_delay(one)}, when users had seen "
                f"{one.bad_by_then:,.0f} of {one.bad:,.0f} bad requests: {message}"
            )
        case ReplayDecision.PROMOTE:
            text = (
                f"promoted after {_format_delay(one)}, with {one.bad:,.0f} bad requests in {whole}"
            )
    if one.decision is ReplayDecision.PROMOTE and one.failed_at is not None:
        text += f"; the judge failed it {format_duration(one.failed_at - (one.at or 0.0))} later"
    if one.false_rollback:
        return f"wrong, it {_describe_truth(release.fate)}: {text}"
    return f"wrong, it was bad: {text}" if one.missed else text


def _describe_truth(fate: GroundTruth) -> str:
    return "stayed" if fate is GroundTruth.STAYED else "was good"


def _format_delay(one: ReplayedRelease) -> str:
    return format_duration((one.at or 0.0) - one.release.start)
