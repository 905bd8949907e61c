"""Repeats the analysis of a past release on the samples that Prometheus still has.

The evidence, requests and pools of each moment come from the same functions as in the operator, so
the report shows what the operator saw. For example, a release from 10:00 to 10:20 with an interval
of 5 s has 240 moments; each holds the evidence of all ticks that ended by then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from canary.analyze.evaluation import AnalysisState, HistoryReplay
from canary.analyze.evaluation import AnalysisWindow as Range
from canary.api import Intent, MetricStatus
from canary.core.increments import Side, Tick
from canary.core.sampling import MetricSamples
from canary.core.series import FoundSeries, MetricAnswer, Series, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, ReleaseResource, Route
from canary.errors import TransientError
from canary.interfaces import MetricSource, Workload
from canary.observe import read_samples
from canary.render.incident import AFTER, BEFORE, ReleasePeriod, build_moment
from canary.render.timeline import Evidence, Moment, Numbers, Pool, ReleaseDecision

RATE_WINDOW = 30.0
"""Seconds over which rates and ratios are averaged. Scrapes are often further apart than ticks."""
MAX_MOMENTS = 400
"""Maximum moments in a report. A chart cannot show more."""


@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """The release and the current state of its objects."""

    resource: ReleaseResource
    workload: Workload
    route: Route | None
    now: float
    """Seconds since the epoch."""


def replay_release(
    seen: ReleaseContext,
    shown: ReleasePeriod,
    source: MetricSource,
    found: Sequence[ReleaseDecision],
) -> list[Moment]:
    """Return the release's measurements over time, with the evidence as it grew.

    Raises:
        TransientError: the metrics could not be read.
    """
    history = read_history(seen, shown, source)
    times = _select_times(history.span, shown)
    ticks, failures_known = _request_ticks(history, times[0])
    said = evidence_by_time(history, shown, times)
    moments = []
    for before, time in pairwise(times):
        numbers = {
            side: _request_numbers(ticks, side, (before, time), shown.began) for side in Side
        }
        if not failures_known:
            numbers = {
                side: replace(one, error_ratio=None, bad=0.0) for side, one in numbers.items()
            }
        moments.append(
            build_moment(
                time - shown.began,
                found,
                canary=numbers[Side.CANARY],
                stable=numbers[Side.STABLE],
                pools=tuple(_pools_at(history.samples.by_metric, time)),
                evidence=tuple(map(_to_evidence, said[time])),
            )
        )
    return moments


def read_history(seen: ReleaseContext, shown: ReleasePeriod, source: MetricSource) -> HistoryReplay:
    """Read all metrics of the release once. Raises TransientError."""
    analysis, now = seen.resource.spec.analysis, seen.now
    end = min((shown.ended if shown.ended is not None else now) + AFTER, now)
    span = Range.from_times(shown.began, end, analysis.interval)
    # During the release stable ran beside the canary, whatever is the case now.
    status = seen.resource.status.model_copy(update={"intent": Intent.ADVANCE})
    resource = replace(seen.resource, status=status)
    release = (resource, seen.workload, seen.route)
    samples = read_samples(source, release, (span.since, span.end))
    _check_available(samples.by_metric)
    return HistoryReplay(analysis, span, samples, _ready_since(seen.workload, shown))


def _ready_since(workload: Workload, shown: ReleasePeriod) -> dict[str, float | None]:
    """Return when each pod became ready; canary pods count as ready since the release began.

    A canary pod that is gone has no start time any more, and would stay in its warm-up for ever.
    """
    stable = workload.target.pods if workload.target else ()
    canary = workload.canary.pods if workload.canary else ()
    known = {pod.name: pod.ready_since for pod in stable}
    return known | dict.fromkeys((pod.name for pod in canary), shown.began)


def evidence_by_time(
    history: HistoryReplay, shown: ReleasePeriod, times: Sequence[float]
) -> dict[float, tuple[MetricStatus, ...]]:
    """Return the evidence at each time (ascending, seconds). It is constant after the release."""
    said: tuple[MetricStatus, ...] = ()
    state: AnalysisState | None = None
    at, by_time = history.span.since, {}
    for time in times:
        if shown.began <= time and (shown.ended is None or time <= shown.ended) and time > at:
            state, result = history.advance_to(state, at, time)
            said, at = result.metrics, time
        by_time[time] = said
    return by_time


def _select_times(span: Range, shown: ReleasePeriod) -> list[float]:
    """Return at most `MAX_MOMENTS` times, from shortly before the release to its end."""
    times = [time for time in span.grid.times() if time >= shown.began - BEFORE - span.step]
    return times[:: ceil(len(times) / MAX_MOMENTS)] if times else [span.end]


def _check_available(by_metric: Mapping[str, MetricSamples]) -> None:
    for one in by_metric.values():
        answer = one.ticks if isinstance(one, RatioSamples) else one
        answer = answer.in_use if isinstance(answer, PoolSamples) else answer
        if isinstance(answer, Unavailable):
            raise TransientError(f"the metrics of the release could not be read: {answer.why}")


def _series_of(answer: MetricAnswer | float) -> tuple[Series, ...]:
    return answer.series if isinstance(answer, FoundSeries) else ()


def _request_ticks(history: HistoryReplay, since: float) -> tuple[tuple[Tick, ...], bool]:
    """Return the ticks of a metric that counts requests, and whether its bad ones have failed.

    The report draws failed requests, so a metric of slow requests only tells how many there were.
    """
    counting = [one for one in history.analysis.metrics if one.is_request_share]
    chosen = min(counting, key=lambda one: one.kind != "ratio", default=None)
    samples = history.samples.by_metric.get(chosen.name) if chosen else None
    ticks = samples.ticks if isinstance(samples, RatioSamples) else ()
    found = tuple(one for one in ticks if one.end > since) if isinstance(ticks, tuple) else ()
    return found, chosen is not None and chosen.kind == "ratio"


def _request_numbers(
    ticks: Sequence[Tick], side: Side, between: tuple[float, float], began: float
) -> Numbers:
    before, time = min(between[0], between[1] - RATE_WINDOW), between[1]
    now = [tick for tick in ticks if before < tick.end <= time]
    total, bad = sum(tick.total(side) for tick in now), sum(tick.bad(side) for tick in now)
    since = [tick for tick in ticks if began < tick.end <= time]
    return Numbers(
        requests_per_second=total / max(time - before, 1.0),
        error_ratio=bad / total if total else None,
        total=sum(tick.total(side) for tick in since),
        bad=sum(tick.bad(side) for tick in since),
    )


def _pools_at(by_metric: Mapping[str, MetricSamples], time: float) -> Iterator[Pool]:
    for one in by_metric.values():
        if not isinstance(one, PoolSamples):
            continue
        for series in _series_of(one.in_use):
            name = series.labels.get(one.label, "")
            side, value = one.side_of(name), _value_at(series, time)
            if side is not None and value is not None:
                yield Pool(name, side, value, _pool_maximum(one, name, time))


def _pool_maximum(pool: PoolSamples, name: str, time: float) -> float:
    if isinstance(pool.maximum, float | int):
        return float(pool.maximum)
    mine = (one for one in _series_of(pool.maximum) if one.labels.get(pool.label, "") == name)
    return next((value for one in mine if (value := _value_at(one, time)) is not None), 0.0)


def _value_at(series: Series, time: float) -> float | None:
    """Return the last sample before a time, if it is recent."""
    recent = (value for at, value in reversed(series.points) if time - RATE_WINDOW < at <= time)
    return next(recent, None)


def _to_evidence(one: MetricStatus) -> Evidence:
    return Evidence(one.name, one.verdict, one.evidence, one.threshold, one.message)
