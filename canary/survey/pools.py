"""All connection pools that a Prometheus knows, and how near each is to its end."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from canary.core.increments import Grid, Side
from canary.core.leak import PoolPolicy
from canary.core.leak_track import BLOCKS, Track
from canary.core.pool import PoolReading, PoolSeries, pool_samples, telling_apart
from canary.core.rounds import Rounds
from canary.core.series import (
    Found,
    Matcher,
    MatchOp,
    MetricAnswer,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.errors import TransientError
from canary.interfaces import MetricSource
from canary.metrics.families import PoolFamily, place, pool_families
from canary.metrics.promql import one_of
from canary.render.pools import PoolNow, by_nearness

WINDOW = 600.0
"""Seconds over which connections that are not given back are looked for."""
STEP = 15.0
_PLACE = frozenset({"namespace", "instance", "pod"})
_LEAST = 5
"""Blocks of the window: from fewer nothing is said about leaks."""
_POLICY = PoolPolicy()


def read_pools(source: MetricSource, now: float, namespace: str = "") -> tuple[PoolNow, ...]:
    """Every pool that has values now, the nearest to its end first.

    `now` in seconds since the epoch; `namespace` is a value of that label, none: all.

    Raises TransientError when the source cannot be asked, or answers only in part.
    """
    step = STEP
    end = source.settled(now)
    grid = Grid(end - WINDOW - step, end, step)
    where = (Matcher("namespace", MatchOp.EQUAL, namespace),) if namespace else ()
    there = _present(source, end, where)
    found: list[PoolNow] = []
    for family in pool_families():
        if family.in_use.metric in there:
            found.extend(_family(source, family, grid, where))
    return by_nearness(found)


def gauges_without_numbers(
    source: MetricSource, now: float, namespace: str = ""
) -> tuple[str, ...]:
    """Names of the pools' gauges that are there, and are NaN in every series.

    Raises TransientError when the source cannot be asked.
    """
    end = source.settled(now)
    where = (Matcher("namespace", MatchOp.EQUAL, namespace),) if namespace else ()
    there = sorted(_present(source, end, where))
    queries = [SeriesQuery(name, Selector(name, where), ("namespace",)) for name in there]
    answers = source.read(queries, end, end, 1.0)
    return tuple(name for name in there if not _series(answers[name]))


def _present(source: MetricSource, end: float, where: tuple[Matcher, ...]) -> frozenset[str]:
    names = one_of(tuple(dict.fromkeys(family.in_use.metric for family in pool_families())))
    conditions = (Matcher("__name__", MatchOp.REGEX, names), *where)
    text = ",".join(f"{one.label}{one.op.value}{_quoted(one.value)}" for one in conditions)
    # A source leaves out the label __name__, so the name is asked for as a label of its own.
    named = f'label_replace({{{text}}}, "metric", "$1", "__name__", "(.+)")'
    query = SeriesQuery("names", Selector("x"), (), promql=f"count by (metric) ({named})")
    series = _series(source.read([query], end, end, 1.0)["names"])
    return frozenset(one.labels["metric"] for one in series if "metric" in one.labels)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _series(answer: MetricAnswer) -> Sequence[Series]:
    match answer:
        case Found(series):
            return series
        case Unavailable(why):
            raise TransientError(f"Prometheus cannot be asked: {why}")
        case _:
            return ()


def _family(
    source: MetricSource, family: PoolFamily, grid: Grid, where: tuple[Matcher, ...]
) -> Iterator[PoolNow]:
    by = _by(source, family, grid, where)

    def query(key: str, selector: Selector, idle: Selector | None = None) -> SeriesQuery:
        return SeriesQuery(key, _with(selector, where), by, idle and _with(idle, where))

    queries = [query("in_use", family.in_use, family.idle)]
    if family.maximum:
        shared = SeriesQuery("maximum", _with(family.maximum, where), ("namespace", "instance"))
        queries.append(shared if family.shared_maximum else query("maximum", family.maximum))
    for index, selector in enumerate(family.waiting):
        queries.append(query(f"waiting{index}", selector))
    for index, selector in enumerate(family.timeouts):
        queries.append(query(f"timeouts{index}", selector))
    if family.hold:
        queries.append(query("hold", family.hold))
    answers = source.read(queries, grid.start, grid.end, grid.step)
    parts = {key: _series(answer) for key, answer in answers.items()}
    for series in parts["in_use"]:
        if series.points and series.points[-1][0] >= grid.end - grid.step:
            yield _pool(family, by, series, parts, grid)


def _by(
    source: MetricSource, family: PoolFamily, grid: Grid, where: tuple[Matcher, ...]
) -> tuple[str, ...]:
    """The labels that tell pools apart: of one pod any in which its series differ now."""
    by = ("namespace", "instance", family.who)
    if family.backend:
        return by
    query = SeriesQuery("labels", _with(family.in_use, where), by, raw=True)
    answer = source.read([query], grid.end - grid.step, grid.end, grid.step)["labels"]
    return telling_apart((one.labels for one in _series(answer)), (*by, *family.pools))


def _with(selector: Selector, where: tuple[Matcher, ...]) -> Selector:
    return Selector(selector.metric, (*selector.matchers, *where))


def _pool(
    family: PoolFamily,
    by: Sequence[str],
    series: Series,
    parts: Mapping[str, Sequence[Series]],
    grid: Grid,
) -> PoolNow:
    def own(key: str) -> list[Series]:
        """Of this pool: for a whole server where the labels are fewer."""
        return [
            one
            for name, found in parts.items()
            if name.rstrip("0123456789") == key
            for one in found
            if one.labels.items() <= series.labels.items()
        ]

    hold = own("hold")
    sides = PoolSeries(
        in_use=[series],
        maximum=own("maximum"),
        label=family.who,
        side_of=lambda _: Side.STABLE,
        waiting=own("waiting"),
        timeouts=own("timeouts"),
        hold=hold,
        hold_unit=family.hold_unit,
    )
    readings = [
        one
        for sample in pool_samples(sides, (), Rounds(grid.start, grid.times()[1:]))
        for one in sample.readings
    ]
    last = series.points[-1][1]
    held, empty_in = _leak(readings) if hold else (None, None)
    labels = series.labels
    who = labels.get(family.who, "")
    service, version = place(who)
    return PoolNow(
        preset=family.name,
        namespace=labels.get("namespace", ""),
        service=service,
        version=version if who else "",
        pod=labels.get("instance", "") if family.backend else who or labels.get("instance", ""),
        pool="/".join(labels[name] for name in by if name not in _PLACE and labels.get(name)),
        in_use=last,
        maximum=_last(own("maximum")) or None,
        waiting=_last(own("waiting")),
        timeouts=sum(one.timeouts or 0.0 for one in readings) if own("timeouts") else None,
        held=held,
        empty_in=empty_in,
    )


def _last(found: Iterable[Series]) -> float | None:
    return next((one.points[-1][1] for one in found if one.points), None)


def _leak(readings: Sequence[PoolReading]) -> tuple[float | None, float | None]:
    """Connections that are held beyond what comes back, and seconds until none is left.

    There is an end only where more are held than `leak` connections and than chance explains, and
    where they have become more from one half of the window to the other.
    """
    track = Track("", first=0.0)
    for reading in readings:
        track = track.read(reading, 0.0, WINDOW / BLOCKS)
    look = track.look(len(track.blocks))
    if look is None or len(track.blocks) < _LEAST:
        return None, None
    half = len(track.blocks) // 2
    old, new = track.look(half, half), track.look(half)
    if old is None or new is None or not track.maximum:
        return look.residual, None
    leaks = look.residual > max(_POLICY.leak_connections, _POLICY.noise * look.error)
    rises = new.residual - old.residual > _POLICY.noise * math.hypot(old.error, new.error)
    if not (leaks and rises):
        return look.residual, None
    return look.residual, max(track.maximum - track.in_use, 0.0) / track.slope()
