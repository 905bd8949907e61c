"""Which presets' metrics there really are for the pods and backends of a Deployment."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from canary.core.buckets import SlowThreshold, find_nearest_bound
from canary.core.sampling import explain_unmatched
from canary.core.series import NoData, Series, SeriesQuery
from canary.errors import UsageError
from canary.metrics.presets import (
    LATENCIES,
    POOLS,
    RATIOS,
    LatencyPreset,
    Per,
    PoolPreset,
    RatioPreset,
)
from canary.metrics.queries import Context, compile_latency, compile_pool, compile_ratio
from canary.metrics.query_api import Labels

Ask = Callable[[SeriesQuery], Sequence[Labels]]
"""The groups that a query has now; none where there is nothing."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """Names of presets whose series are there, best first."""

    ratios: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    limitless: tuple[str, ...] = ()
    """Pools in use whose exporter gives no maximum: the spec has to."""
    slow: tuple["Slow", ...] = ()


@dataclass(frozen=True, slots=True)
class Slow:
    """A histogram of response times: its preset, and its bucket bound nearest to half a second."""

    preset: str
    bound: str
    """As people read it: `500 ms`."""


ABOVE = 0.5
"""Seconds above which a drafted metric calls a request slow."""


def look_for(
    ask: Ask, context: Context, own: Collection[str], *, pods_only: bool = False
) -> Sightings:
    """Asks for every preset that can be asked for in this context.

    `own` are the names of all metrics that the pods have; backends' metrics are others'.
    """

    def fits(preset: RatioPreset | LatencyPreset | PoolPreset, metric: str) -> bool:
        return metric in own if preset.per is Per.POD else not pods_only

    pools = [one for one in POOLS if fits(one, one.in_use.metric)]
    there = _without_twins([one for one in pools if _pool_is_there(ask, one, context)])
    ratios = [one for one in RATIOS if fits(one, one.total.metric)]
    histograms = [one for one in LATENCIES if fits(one, one.part("bucket").metric)]
    counted = [(one, labels) for one in ratios if (labels := _counted(ask, one, context))]
    # One that leaves out health checks is better, if the label by which it does is there.
    counted.sort(key=lambda each: not set(each[0].left_out) <= each[1])
    return Sightings(
        tuple(one.name for one, _ in counted),
        tuple(one.name for one in there if one.maximum is not None),
        tuple(one.name for one in there if one.maximum is None),
        tuple(slow for one in histograms if (slow := _histogram(ask, one, context))),
    )


def label_is_there(ask: Ask, query: SeriesQuery, label: str) -> bool:
    """Whether any series of the query has this label."""
    return any(group.get(label) for group in ask(replace(query, by=(*query.by, label))))


def _counted(ask: Ask, preset: RatioPreset, context: Context) -> frozenset[str]:
    """The labels of its requests, if the one that tells bad ones is among them; else none."""
    try:
        query = compile_ratio(preset, context, preset.name).total
    except UsageError:
        return frozenset()
    groups = ask(replace(query, by=(*query.by, preset.bad.label, *preset.left_out)))
    if not groups or explain_unmatched(preset.total.metric, (preset.bad,), groups):
        return frozenset()
    return frozenset(label for group in groups for label, value in group.items() if value)


def _pool_is_there(ask: Ask, preset: PoolPreset, context: Context) -> bool:
    own = context if preset.maximum else replace(context, maximum=1.0)
    try:
        queries = compile_pool(preset, own, preset.name)
    except UsageError:
        return False
    if not ask(queries.in_use):
        return False
    return isinstance(queries.maximum, float) or bool(ask(queries.maximum))


def _without_twins(pools: Sequence[PoolPreset]) -> list[PoolPreset]:
    """Two presets that read the same series are one: the first, which knows more of it."""
    kept: dict[str, PoolPreset] = {}
    for preset in sorted(pools, key=lambda one: one.maximum is None):
        kept.setdefault(preset.in_use.metric, preset)
    return list(kept.values())


def _histogram(ask: Ask, preset: LatencyPreset, context: Context) -> Slow | None:
    """The histogram, if it has a bucket near half a second."""
    try:
        compiled = compile_latency(preset, ABOVE, context, "slow")
    except UsageError:
        return None
    groups = ask(compiled.good) if compiled.good else ()
    series = [Series(group, ()) for group in groups]
    slow = SlowThreshold(ABOVE, preset.unit)
    bound = find_nearest_bound(series, compiled.label, compiled.side_of, slow)
    return None if isinstance(bound, NoData) else Slow(preset.name, slow.said(bound))
