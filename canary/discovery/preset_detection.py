"""Detects which metric presets have data for the pods and backends of a Deployment."""

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

LabelLookup = Callable[[SeriesQuery], Sequence[Labels]]
"""Returns the label groups that a query yields now; empty without data."""


@dataclass(frozen=True, slots=True)
class DetectedPresets:
    """Names of the presets that have series, best first."""

    ratios: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    unlimited_pools: tuple[str, ...] = ()
    """Pools whose exporter reports no maximum, so that the spec must set it."""
    slow: tuple["DetectedHistogram", ...] = ()


@dataclass(frozen=True, slots=True)
class DetectedHistogram:
    """A histogram of response times: its preset, and the bucket bound nearest to half a second."""

    preset: str
    bound: str
    """The bucket bound as text: `500 ms`."""


SLOW_THRESHOLD = 0.5
"""Seconds above which a drafted metric counts a request as slow."""


def detect_presets(
    ask: LabelLookup, context: Context, own: Collection[str], *, pods_only: bool = False
) -> DetectedPresets:
    """Query every preset that can be compiled in this context.

    `own` are the names of all metrics that the pods export; presets per backend are not among them.
    """

    def fits(preset: RatioPreset | LatencyPreset | PoolPreset, metric: str) -> bool:
        return metric in own if preset.per is Per.POD else not pods_only

    pools = [one for one in POOLS if fits(one, one.in_use.metric)]
    there = _drop_duplicates([one for one in pools if _has_pool(ask, one, context)])
    ratios = [one for one in RATIOS if fits(one, one.total.metric)]
    histograms = [one for one in LATENCIES if fits(one, one.part("bucket").metric)]
    counted = [(one, labels) for one in ratios if (labels := _ratio_labels(ask, one, context))]
    # A preset that excludes health checks is better, if the series have the label it filters by.
    counted.sort(key=lambda each: not set(each[0].left_out) <= each[1])
    return DetectedPresets(
        tuple(one.name for one, _ in counted),
        tuple(one.name for one in there if one.maximum is not None),
        tuple(one.name for one in there if one.maximum is None),
        tuple(slow for one in histograms if (slow := _detect_histogram(ask, one, context))),
    )


def has_label(ask: LabelLookup, query: SeriesQuery, label: str) -> bool:
    """Return whether any series of the query has this label."""
    return any(group.get(label) for group in ask(replace(query, by=(*query.by, label))))


def _ratio_labels(ask: LabelLookup, preset: RatioPreset, context: Context) -> frozenset[str]:
    """Return the labels of the requests; empty if the label that marks bad ones is missing."""
    try:
        query = compile_ratio(preset, context, preset.name).total
    except UsageError:
        return frozenset()
    groups = ask(replace(query, by=(*query.by, preset.bad.label, *preset.left_out)))
    if not groups or explain_unmatched(preset.total.metric, (preset.bad,), groups):
        return frozenset()
    return frozenset(label for group in groups for label, value in group.items() if value)


def _has_pool(ask: LabelLookup, preset: PoolPreset, context: Context) -> bool:
    own = context if preset.maximum else replace(context, maximum=1.0)
    try:
        queries = compile_pool(preset, own, preset.name)
    except UsageError:
        return False
    if not ask(queries.in_use):
        return False
    return isinstance(queries.maximum, float) or bool(ask(queries.maximum))


def _drop_duplicates(pools: Sequence[PoolPreset]) -> list[PoolPreset]:
    """Keep the first of several presets that read the same series, if it knows the maximum."""
    kept: dict[str, PoolPreset] = {}
    for preset in sorted(pools, key=lambda one: one.maximum is None):
        kept.setdefault(preset.in_use.metric, preset)
    return list(kept.values())


def _detect_histogram(
    ask: LabelLookup, preset: LatencyPreset, context: Context
) -> DetectedHistogram | None:
    """Return the histogram if it has a bucket bound near half a second."""
    try:
        compiled = compile_latency(preset, SLOW_THRESHOLD, context, "slow")
    except UsageError:
        return None
    groups = ask(compiled.good) if compiled.good else ()
    series = [Series(group, ()) for group in groups]
    slow = SlowThreshold(SLOW_THRESHOLD, preset.unit)
    bound = find_nearest_bound(series, compiled.label, compiled.side_of, slow)
    return (
        None
        if isinstance(bound, NoData)
        else DetectedHistogram(preset.name, slow.format_bound(bound))
    )
