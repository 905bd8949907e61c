"""`canary loadtest`: runs a load and checks its thresholds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

from canary.api import Verdict
from canary.errors import ExitCode
from canary.loadtest.generator import ArrivalSpacing, LoadPlan, RequestTally
from canary.loadtest.generator.run import LoadProgress, LoadResult, run_load
from canary.loadtest.thresholds import (
    LoadFigures,
    LoadThresholds,
    find_unreachable,
    is_certainly_slow,
    judge_thresholds,
)
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.text.format import format_latency

EARLIEST_STOP = 2
"""Seconds of load before the test may stop early."""
_ARRIVAL_SLACK = 5.0
"""Standard deviations by which random arrivals may exceed their expected number."""


def run_load_test(
    plan: LoadPlan, asked: LoadThresholds, stop: Event, show: Callable[[LoadProgress], None]
) -> GateResult:
    """Run the load and check its thresholds; stop early once a threshold cannot be met.

    `stop`, set by the caller, interrupts the load; the result then covers the time until then.
    `show` is called once per second.

    Raises:
        TransientError: the target accepts no connection, or a worker process died.
        UsageError: this machine does not allow that many requests in flight.
    """
    enough = Event()
    lost: list[str] = []

    def each_second(progress: LoadProgress) -> None:
        show(progress)
        if stop.is_set():
            enough.set()
        elif not lost and (name := _find_lost_threshold(plan, asked, progress)):
            lost.append(name)
            enough.set()

    result = run_load(plan, stop=enough, each_second=each_second)
    return build_result(result, asked, lost=lost[0] if lost else "", interrupted=stop.is_set())


def build_result(
    result: LoadResult, asked: LoadThresholds, *, lost: str = "", interrupted: bool = False
) -> GateResult:
    """Build the result of a load. `lost` names the threshold that ended it early."""
    seen = summarize_load(result)
    return replace(
        judge_figures(result.plan.url, asked, seen, lost=lost, interrupted=interrupted),
        seconds=result.seconds,
        facts={
            **figures_to_json(seen),
            "stages": list(_stages_to_json(result)),
            "requests": list(_requests_to_json(result)),
        },
    )


def judge_figures(
    url: str, asked: LoadThresholds, seen: LoadFigures, *, lost: str = "", interrupted: bool = False
) -> GateResult:
    """Check the thresholds against the figures of any load generator, and build the result."""
    judged = judge_thresholds(asked, seen)
    verdicts = {case.verdict for case in judged}
    code = ExitCode.OK
    if interrupted:
        code = ExitCode.INTERRUPTED
    elif Verdict.FAIL in verdicts:
        code = ExitCode.FAILED
    elif verdicts != {Verdict.PASS}:
        code = ExitCode.INCONCLUSIVE
    headline = f"{_describe_end(code, judged, lost)}: {_describe_figures(seen)}"
    steps = tuple(_suggest_steps(seen, code))
    return GateResult(
        "loadtest",
        url,
        code,
        headline,
        tuple(judged),
        facts=figures_to_json(seen),
        next_steps=steps,
    )


def summarize_load(result: LoadResult) -> LoadFigures:
    """Summarize the measured part of a load."""
    tally = result.measured
    count, seconds = _planned_load(result.plan)
    elapsed = result.seconds - (result.plan.schedule.seconds - seconds)
    return LoadFigures(
        due=tally.due,
        over=tally.over,
        failed=tally.failed,
        seconds=max(0.0, min(seconds, elapsed)) if result.stopped else seconds * tally.due / count,
        best=max(0.0, count - tally.due + tally.ok) / seconds if result.stopped else None,
        p50=tally.latency.quantile(0.5),
        p99=tally.latency.quantile(0.99),
        longest=tally.latency.longest,
        p99_lag=tally.lag.quantile(0.99),
        unsent=tally.unsent,
        late=tally.late,
        timeouts=tally.statuses["timeout"],
        statuses=dict(tally.statuses),
        cpu=result.cpu,
    )


def figures_to_json(seen: LoadFigures) -> dict[str, Fact]:
    """Return the figures for JSON output."""
    return {
        "due": seen.due,
        "over": seen.over,
        "ok": seen.ok,
        "failed": seen.failed,
        "errorRatio": seen.failed / seen.over if seen.over else None,
        "rateAchieved": seen.achieved,
        "p50Seconds": seen.p50,
        "p99Seconds": seen.p99,
        "maxSeconds": seen.longest,
        "statuses": {str(status): count for status, count in sorted(seen.statuses.items())},
    }


def _planned_load(plan: LoadPlan) -> tuple[float, float]:
    """Return the number of requests and the seconds of the plan, excluding warm-up."""
    stages = [stage for stage in plan.schedule.stages if stage.measured]
    return sum(stage.count for stage in stages), sum(stage.seconds for stage in stages)


def _find_lost_threshold(plan: LoadPlan, asked: LoadThresholds, progress: LoadProgress) -> str:
    due, seconds = _planned_load(plan)
    if plan.schedule.spacing is ArrivalSpacing.RANDOM:
        due += _ARRIVAL_SLACK * due**0.5
    seen = summarize_load(progress.so_far)
    if progress.index < EARLIEST_STOP or not seen.over:
        return ""
    slow = is_certainly_slow(asked, seen, int(due), progress.so_far.measured.latency.quantile)
    return find_unreachable(asked, seen, int(due), seconds) or ("p99" if slow else "")


def _describe_end(code: ExitCode, judged: list[ResultCase], lost: str) -> str:
    failed = ", ".join(case.name for case in judged if case.verdict is Verdict.FAIL)
    match code:
        case ExitCode.OK:
            return "passed"
        case ExitCode.INTERRUPTED:
            return "interrupted"
        case ExitCode.FAILED if lost:
            return f"failed ({failed}), stopped early because it could not be met any more"
        case ExitCode.FAILED:
            return f"failed ({failed})"
        case _ if judged[0].verdict is not Verdict.PASS:
            return "inconclusive, the load generator was the limit"
        case _:
            return "inconclusive"


def _describe_figures(seen: LoadFigures) -> str:
    if not seen.over:
        return f"{seen.due:,} requests due, none completed"
    counts = (
        f"{seen.over:,} requests, {seen.achieved:,.5g} good answers/s, "
        f"{seen.failed / seen.over:.2%} failed"
    )
    if not seen.longest:
        return f"{counts}, no answer"
    return (
        f"{counts}, p50 {format_latency(seen.p50)}, p99 {format_latency(seen.p99)}, "
        f"slowest {format_latency(seen.longest)}"
    )


def _suggest_steps(seen: LoadFigures, code: ExitCode) -> Iterator[str]:
    if code is not ExitCode.INCONCLUSIVE:
        return
    if seen.starved:
        yield "requests were sent late: increase --workers, reduce --rate, or use another machine"
    elif seen.unsent:
        yield "too many requests had no answer: increase --max-in-flight, or reduce --rate"
    elif seen.p99_lag:
        yield "repeat the test while this machine is idle"


def _stages_to_json(result: LoadResult) -> Iterator[Fact]:
    for index, stage in enumerate(result.plan.schedule.stages):
        row = _tally_to_json(result.stage(index))
        yield {"rate": str(stage), "seconds": stage.seconds, "measured": stage.measured, **row}


def _requests_to_json(result: LoadResult) -> Iterator[Fact]:
    for request in result.plan.mix.requests:
        yield {"name": request.name, **_tally_to_json(result.request(request.name))}


def _tally_to_json(tally: RequestTally) -> dict[str, Fact]:
    return {
        "due": tally.due,
        "over": tally.over,
        "failed": tally.failed,
        "p50Seconds": tally.latency.quantile(0.5),
        "p99Seconds": tally.latency.quantile(0.99),
    }
