"""A release once more, as the judge saw it: the same fold over what Prometheus kept of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, floor

from canary.api import Intent, MetricStatus, Release, Status
from canary.core.increments import Counters, Grid, Side, Tick, increments
from canary.core.judge import judge
from canary.core.plan import TrafficAction, WorkloadAction
from canary.core.series import Found, MetricAnswer, Series, SeriesQuery, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, Route, Samples, Snapshot, Wish
from canary.errors import TransientError
from canary.interfaces import Key, MetricSource, Notice, Workload, World
from canary.observe import HISTORY, LOOKBACK, observe
from canary.render.incident import AFTER, BEFORE, Span, moment
from canary.render.timeline import Decision, Evidence, Moment, Numbers, Pool

WINDOW = 30.0
"""Seconds over which rates and shares are shown: scrapes are often further apart than looks."""
LOOKS = 400
"""Moments of a report, at most: more would not be seen."""


@dataclass
class Past:
    """The cluster, its clock and its metrics, turned back: whatever is written goes nowhere."""

    wish: Wish
    workload: Workload
    route: Route | None
    source: MetricSource
    whole: Grid
    time: float = 0.0
    _answers: Mapping[str, MetricAnswer] = field(default_factory=dict)

    def world(self) -> World:
        """As one pass of the operator takes it."""
        return World(self, _Releases(self), _Workloads(self), _Traffic(self), self, _Nobody())

    def now(self) -> float:
        """See Clock."""
        return self.time

    def settled(self, now: float) -> float:
        """See MetricSource: the past does not change any more."""
        return float(floor(now))

    def read(
        self, queries: Sequence[SeriesQuery], _start: float, end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource: everything is asked for once; what came later is not known yet."""
        if not self._answers:
            whole = self.whole
            self._answers = self.source.read(queries, whole.start, whole.end, whole.step)
        return {key: _until(answer, end) for key, answer in self._answers.items()}


@dataclass(frozen=True, slots=True)
class _Releases:
    past: Past

    def read(self, _key: Key) -> Wish:
        return self.past.wish

    def write_status(self, wish: Wish, status: Status) -> None:
        """Nothing."""

    def let_go(self, wish: Wish) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class _Workloads:
    past: Past

    def look(self, _wish: Wish) -> Workload:
        return self.past.workload

    def apply(self, wish: Wish, action: WorkloadAction) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class _Traffic:
    past: Past

    def look(self, _wish: Wish) -> Route | None:
        return self.past.route

    def apply(self, wish: Wish, action: TrafficAction) -> None:
        """Nothing."""


class _Nobody:
    def tell(self, notice: Notice) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The release and its surroundings as they are now."""

    wish: Wish
    workload: Workload
    route: Route | None
    now: float
    """Seconds since the epoch."""


def past_of(seen: Seen, span: Span, source: MetricSource) -> Past:
    """The release as it was at its beginning; its pods count as ready from then on."""
    wish, now = seen.wish, seen.now
    step = wish.spec.analysis.interval
    start = floor((span.began - HISTORY) / step) * step - ceil(LOOKBACK / step) * step
    end = min((span.ended if span.ended is not None else now) + AFTER, now)
    template = span.entry.template if span.entry else wish.status.canary_hash or ""
    release = Release(template=template, started_at=span.began, replicas=1, judged_from=span.began)
    status = wish.status.model_copy(
        update={
            "intent": Intent.ADVANCE,
            "release": release,
            "judge": None,
            "judged_until": None,
            "analysis": (),
        }
    )
    whole = Grid(start, start + floor((end - start) / step) * step, step)
    return Past(
        replace(wish, status=status), _ready(seen.workload, span), seen.route, source, whole
    )


def _ready(workload: Workload, span: Span) -> Workload:
    """A pod that is gone, or came later, is not cold for ever."""
    canary = workload.canary
    if canary is None:
        return workload
    pods = tuple(replace(pod, ready=True, ready_since=span.began) for pod in canary.pods)
    return replace(workload, canary=replace(canary, pods=pods))


def replayed(past: Past, span: Span, found: Sequence[Decision]) -> list[Moment]:
    """What could be seen of the release, and the evidence as it grew.

    Raises:
        TransientError: the monitoring system could not be asked.
    """
    world, key = past.world(), Key(past.wish.namespace, past.wish.name)
    past.time = past.whole.end
    whole = observe(world, key)
    if whole.samples is None:
        return []
    _asked(whole.samples)
    times = _times(past.whole, span)
    ticks = _ticks(whole.samples, times[0])
    moments = []
    for before, time in pairwise(times):
        past.time = time
        metrics = _judged(past, observe(world, key), span)
        numbers = {side: _numbers(ticks, side, (before, time), span.began) for side in Side}
        moments.append(
            moment(
                time - span.began,
                found,
                canary=numbers[Side.CANARY],
                stable=numbers[Side.STABLE],
                pools=tuple(_pools(whole.samples, time)),
                evidence=tuple(map(_evidence, metrics)),
            )
        )
    return moments


def _judged(past: Past, snap: Snapshot, span: Span) -> tuple[MetricStatus, ...]:
    """The next piece of the fold; after the release's end nothing is judged."""
    status = past.wish.status
    if past.time < span.began or (span.ended is not None and past.time > span.ended):
        return status.analysis
    said = judge(snap)
    changes = {
        "judge": said.state or status.judge,
        "judged_until": said.until or status.judged_until,
        "analysis": said.metrics or status.analysis,
    }
    past.wish = replace(past.wish, status=status.model_copy(update=changes))
    return past.wish.status.analysis


def _times(whole: Grid, span: Span) -> list[float]:
    """From shortly before the release on, thinned out."""
    times = [time for time in whole.times() if time >= span.began - BEFORE - whole.step]
    return times[:: ceil(len(times) / LOOKS)] if times else [whole.end]


def _asked(samples: Samples) -> None:
    for one in samples.by_metric.values():
        answer = one.total if isinstance(one, RatioSamples) else one
        answer = answer.in_use if isinstance(answer, PoolSamples) else answer
        if isinstance(answer, Unavailable):
            raise TransientError(f"the monitoring could not be asked: {answer.why}")


def _until(answer: MetricAnswer, end: float) -> MetricAnswer:
    if not isinstance(answer, Found):
        return answer
    cut = (
        Series(one.labels, tuple(point for point in one.points if point[0] <= end))
        for one in answer.series
    )
    return Found(tuple(one for one in cut if one.points))


def _series(answer: MetricAnswer | float) -> tuple[Series, ...]:
    return answer.series if isinstance(answer, Found) else ()


def _ticks(samples: Samples, since: float) -> tuple[Tick, ...]:
    """Of the first metric that counts requests."""
    ratios = (one for one in samples.by_metric.values() if isinstance(one, RatioSamples))
    ratio = next(ratios, None)
    if ratio is None:
        return ()
    total, bad = _series(ratio.total), _series(ratio.bad)
    return increments(Counters(total, bad, ratio.label, ratio.side_of, {}), samples.grid, since)


def _numbers(
    ticks: Sequence[Tick], side: Side, between: tuple[float, float], began: float
) -> Numbers:
    before, time = min(between[0], between[1] - WINDOW), between[1]
    now = [tick for tick in ticks if before < tick.end <= time]
    total, bad = sum(tick.total(side) for tick in now), sum(tick.bad(side) for tick in now)
    since = [tick for tick in ticks if began < tick.end <= time]
    return Numbers(
        requests_per_second=total / max(time - before, 1.0),
        error_ratio=bad / total if total else None,
        total=sum(tick.total(side) for tick in since),
        bad=sum(tick.bad(side) for tick in since),
    )


def _pools(samples: Samples, time: float) -> Iterator[Pool]:
    for one in samples.by_metric.values():
        if not isinstance(one, PoolSamples):
            continue
        for series in _series(one.in_use):
            name = series.labels.get(one.label, "")
            side, value = one.side_of(name), _at(series, time)
            if side is not None and value is not None:
                yield Pool(name, side, value, _maximum(one, name, time))


def _maximum(pool: PoolSamples, name: str, time: float) -> float:
    if isinstance(pool.maximum, float | int):
        return float(pool.maximum)
    mine = (one for one in _series(pool.maximum) if one.labels.get(pool.label, "") == name)
    return next((value for one in mine if (value := _at(one, time)) is not None), 0.0)


def _at(series: Series, time: float) -> float | None:
    return next((value for at, value in series.points if at == time), None)


def _evidence(one: MetricStatus) -> Evidence:
    return Evidence(one.name, one.verdict, one.evidence, one.threshold, one.message)
