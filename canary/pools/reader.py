"""Reads all connection pools in Prometheus and estimates when each is exhausted."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from canary.core.increments import Grid, Side
from canary.core.pools.detector import PoolPolicy
from canary.core.pools.samples import PoolReading, PoolSeries, build_pool_samples
from canary.core.pools.window import BLOCKS, SlidingWindow
from canary.core.rounds import Rounds
from canary.core.sampling import PoolAnswers, sample_pool
from canary.core.series import (
    NOT_NUMBERS,
    FoundSeries,
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.core.snapshot import PoolSamples
from canary.errors import TransientError
from canary.interfaces import MetricSource
from canary.metrics.preset_groups import PoolPresetGroup, pool_preset_groups, service_and_version
from canary.metrics.promql import vector_selector
from canary.render.pools import PoolSnapshot, sort_by_urgency

WINDOW = 600.0
"""Seconds in which leaked connections are searched."""
STEP = 15.0
_HIDDEN_LABELS = frozenset({"namespace", "instance", "pod"})
"""Labels with a column of their own, or without meaning to people."""
_MIN_BLOCKS = 5
"""Minimum number of blocks in the window for an estimate of leaks."""
_POLICY = PoolPolicy()


def read_pools(source: MetricSource, now: float, namespace: str = "") -> tuple[PoolSnapshot, ...]:
    """Return every pool that has values now, the most urgent first.

    `now` is in seconds since the epoch. `namespace` filters by that label; empty means all.

    Raises TransientError when the source cannot be queried, or answers only in part.
    """
    step = STEP
    end = source.final_until(now)
    grid = Grid(end - WINDOW - step, end, step)
    where = (Matcher("namespace", MatchOp.EQUAL, namespace),) if namespace else ()
    there = _list_metrics(source, end, where)
    found: list[PoolSnapshot] = []
    for group in pool_preset_groups():
        if group.in_use.metric in there:
            found.extend(_read_group(source, group, grid, where))
    return sort_by_urgency(found)


def _list_metrics(source: MetricSource, end: float, where: tuple[Matcher, ...]) -> frozenset[str]:
    first, *also = dict.fromkeys(group.in_use.metric for group in pool_preset_groups())
    series = vector_selector(Selector(first, where), tuple(also))
    # The source drops the label __name__, so its value is copied to the label `metric`.
    named = f'label_replace({series}, "metric", "$1", "__name__", "(.+)")'
    query = SeriesQuery("names", Selector("x"), (), promql=f"count by (metric) ({named})")
    found = _series_of(source.read([query], end, end, 1.0)["names"])
    return frozenset(one.labels["metric"] for one in found if "metric" in one.labels)


def _series_of(answer: MetricAnswer) -> Sequence[Series]:
    match answer:
        case FoundSeries(series):
            return series
        case Unavailable(why):
            raise TransientError(f"Prometheus cannot be queried: {why}")
        case NoData(why, partial=True) if why != NOT_NUMBERS:
            raise TransientError(f"some pools could not be read: {why}")
        case NoData():
            return ()


def _read_group(
    source: MetricSource, group: PoolPresetGroup, grid: Grid, where: tuple[Matcher, ...]
) -> Iterator[PoolSnapshot]:
    by = (group.who, "namespace", "instance", *(() if group.backend else group.pools))
    named = _selectors_of(group)
    queries = [
        SeriesQuery(key, Selector(one.metric, (*one.matchers, *where)), (group.who,), raw=True)
        for key, one in named.items()
    ]
    answers = source.read(queries, grid.start, grid.end, grid.step)
    present = _list_current(source, queries[0].selector, by, grid.end)
    rounds = Rounds(grid.start, grid.times()[1:])
    raw = _build_answers(group, by, answers)
    sampled = sample_pool(raw, rounds)
    odd = _not_numbers(raw.in_use, present)
    for series in _series_of(sampled.in_use):
        here = {name: value for name, value in series.labels.items() if name in by}
        if here in present and not any(series.labels.items() <= one.items() for one in odd):
            yield _build_pool(group, series, sampled, rounds)
    yield from (_describe_pool(group, {k: v for k, v in one.items() if k in by}) for one in odd)


def _not_numbers(
    answer: MetricAnswer, present: Sequence[Mapping[str, str]]
) -> Sequence[Mapping[str, str]]:
    """Return the labels of gauges whose value is NaN."""
    if isinstance(answer, FoundSeries):
        return answer.not_numbers
    return present if isinstance(answer, NoData) and answer.why == NOT_NUMBERS else ()


def _selectors_of(group: PoolPresetGroup) -> dict[str, Selector]:
    """Return the selectors of a preset by key; connections in use come first."""
    every = {
        "in_use": group.in_use,
        "idle": group.idle,
        "maximum": group.maximum,
        **{f"waiting{index}": one for index, one in enumerate(group.waiting)},
        **{f"timeouts{index}": one for index, one in enumerate(group.timeouts)},
        "hold": group.hold,
    }
    return {key: one for key, one in every.items() if one is not None}


def _list_current(
    source: MetricSource, selector: Selector, by: tuple[str, ...], end: float
) -> list[Mapping[str, str]]:
    """Return the labels of all pools in the last scrape, including those whose value is NaN."""
    text = f"count by ({', '.join(by)}) ({vector_selector(selector)})"
    query = SeriesQuery("now", selector, by, promql=text)
    return [one.labels for one in _series_of(source.read([query], end, end, 1.0)[query.key])]


def _build_answers(
    group: PoolPresetGroup, by: tuple[str, ...], answers: Mapping[str, MetricAnswer]
) -> PoolAnswers:
    def every(part: str) -> MetricAnswer | None:
        """Return the series of all selectors of this part; two presets may use different names."""
        mine = [one for key, one in answers.items() if key.rstrip("0123456789") == part]
        found = tuple(series for one in mine for series in _series_of(one))
        return FoundSeries(found) if found else (NoData("none") if mine else None)

    return PoolAnswers(
        answers["in_use"],
        every("maximum") or NoData("none"),
        by,
        group.who,
        lambda _: Side.STABLE,
        every("idle"),
        every("waiting"),
        every("timeouts"),
        every("hold"),
        group.hold_unit,
        apart=group.backend is None,
    )


def _build_pool(
    group: PoolPresetGroup, series: Series, sampled: PoolSamples, rounds: Rounds
) -> PoolSnapshot:
    def own(answer: MetricAnswer | None) -> list[Series]:
        """Return the series of this pool.

        A series with fewer labels belongs to all pools of its server.
        """
        found = answer.series if isinstance(answer, FoundSeries) else ()
        return [one for one in found if one.labels.items() <= series.labels.items()]

    assert not isinstance(sampled.maximum, float)  # noqa: S101 - only a spec gives a number
    maximum, waiting, timeouts = map(own, (sampled.maximum, sampled.waiting, sampled.timeouts))
    hold = own(sampled.hold)
    sides = PoolSeries(
        in_use=[series],
        maximum=maximum,
        label=group.who,
        side_of=lambda _: Side.STABLE,
        waiting=waiting,
        timeouts=timeouts,
        hold=hold,
        hold_unit=group.hold_unit,
    )
    readings = [one for sample in build_pool_samples(sides, (), rounds) for one in sample.readings]
    held, empty_in = _estimate_leak(readings) if hold else (None, None)
    return replace(
        _describe_pool(group, series.labels),
        in_use=series.points[-1][1],
        maximum=_last_value(maximum) or None,
        waiting=_last_value(waiting),
        timeouts=sum(one.timeouts or 0.0 for one in readings) if timeouts else None,
        held=held,
        empty_in=empty_in,
    )


def _describe_pool(group: PoolPresetGroup, labels: Mapping[str, str]) -> PoolSnapshot:
    """Return the pool's identity without values."""
    who = labels.get(group.who, "")
    service, version = service_and_version(who)
    return PoolSnapshot(
        preset=group.name,
        namespace=labels.get("namespace", ""),
        service=service,
        version=version if who else "",
        pod=labels.get("instance", "") if group.backend else who or labels.get("instance", ""),
        pool="/".join(
            value for name, value in labels.items() if value and name not in _HIDDEN_LABELS
        ),
    )


def _last_value(found: Iterable[Series]) -> float | None:
    return next((one.points[-1][1] for one in found if one.points), None)


def _estimate_leak(readings: Sequence[PoolReading]) -> tuple[float | None, float | None]:
    """Return the leaked connections, and the seconds until the pool is exhausted.

    Leaked are those that are in use beyond what the hold times explain. The forecast exists only if
    there are more than `leak` and more than chance explains, and if they grew from one half of the
    window to the other. For example, 6 leaked in the first 5 minutes and 12 in the second, with 8
    of 20 left, are exhausted in about 7 minutes.
    """
    track = SlidingWindow("", first=0.0)
    for reading in readings:
        track = track.add_reading(reading, 0.0, WINDOW / BLOCKS)
    look = track.estimate_leak(len(track.blocks))
    if look is None or len(track.blocks) < _MIN_BLOCKS:
        return None, None
    half = len(track.blocks) // 2
    old, new = track.estimate_leak(half, half), track.estimate_leak(half)
    if old is None or new is None or not track.maximum:
        return look.residual, None
    leaks = look.residual > max(_POLICY.leak_connections, _POLICY.noise * look.error)
    rises = new.residual - old.residual > _POLICY.noise * math.hypot(old.error, new.error)
    if not (leaks and rises):
        return look.residual, None
    return look.residual, max(track.maximum - track.in_use, 0.0) / track.loss_per_second()
