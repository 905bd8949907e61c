"""Merges several scrapes of one process, so that its counters count once.

Two monitors (a ServiceMonitor and a PodMonitor, or two Prometheus replicas) that scrape one pod
produce two sets of series that differ only in labels of the scrape. They are the same counters at
different times: merged in order of time they never fall. The counters of two processes of one pod
(ports 8080 and 9090) do fall: 100, 1,000, 110, 1,010. Those stay separate, and both are counted.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from canary.core.counter import never_falls
from canary.core.series import Series

SCRAPE_LABELS = (
    "instance",
    "job",
    "service",
    "endpoint",
    "container",
    "prometheus",
    "prometheus_replica",
    "replica",
    "monitor",
    "receive",
    "tenant_id",
    "node",
    "metrics_path",
)
"""Labels that describe the scrape; the labels of a metric itself must not be among them."""
_COMPARED = 20

OwnLabels = Hashable
Points = tuple[tuple[float, float], ...]


@dataclass(slots=True)
class _ScrapedTarget:
    """The series of one target, by their labels without those of the scrape."""

    instance: str | None
    series: dict[OwnLabels, Series]


def merge_duplicate_scrapes(series: Sequence[Series], label: str) -> list[Series]:
    """Return the series with those of another scrape of the same counter merged into one.

    `label` identifies the pod or backend: pods may be scraped at several ports, routers may not.
    """
    scopes: dict[Hashable, dict[Hashable, _ScrapedTarget]] = {}
    for one in series:
        labels = one.labels
        target = tuple(labels.get(name) for name in SCRAPE_LABELS if name != label)
        pod = labels.get("pod")
        scope = pod if label == "pod" else (pod, labels.get("instance"))
        targets = scopes.setdefault(scope, {})
        mine = targets.setdefault(target, _ScrapedTarget(labels.get("instance"), {}))
        mine.series[_own_labels(labels, label)] = one
    if all(len(targets) == 1 for targets in scopes.values()):
        return list(series)
    found: list[Series] = []
    for targets in scopes.values():
        for kept in _merge_targets(targets.values()):
            found += kept.series.values()
    return found


def _own_labels(labels: Mapping[str, str], label: str) -> OwnLabels:
    return frozenset(
        item for item in labels.items() if item[0] == label or item[0] not in SCRAPE_LABELS
    )


def _merge_targets(targets: Iterable[_ScrapedTarget]) -> list[_ScrapedTarget]:
    kept: list[_ScrapedTarget] = []
    for target in targets:
        twin = next((one for one in kept if _is_same_target(one, target)), None)
        if twin is None:
            kept.append(target)
            continue
        for rest, series in target.series.items():
            known = twin.series.get(rest, series)
            twin.series[rest] = replace(known, points=_merge_points(known.points, series.points))
    return kept


def _is_same_target(one: _ScrapedTarget, other: _ScrapedTarget) -> bool:
    """Return whether the targets share counters, each of which is one counter scraped twice."""
    common = [rest for rest in one.series if rest in other.series]
    follows = one.instance == other.instance
    return bool(common) and all(
        _is_one_counter(one.series[rest].points, other.series[rest].points, follows=follows)
        for rest in common
    )


def _is_one_counter(one: Points, other: Points, *, follows: bool) -> bool:
    """Return whether two series are one counter: merged they fall no more often than each alone.

    With `follows` a series that begins after the other has ended may continue it.
    """
    one, other = one[-_COMPARED:], other[-_COMPARED:]
    if not one or not other:
        return False
    begin, end = max(one[0][0], other[0][0]), min(one[-1][0], other[-1][0])
    if begin > end:
        first, second = (one, other) if one[-1][0] < other[0][0] else (other, one)
        return follows and second[0][1] >= first[-1][1]
    values = dict(other)
    if any(values.get(time, value) != value for time, value in one):
        return False
    return _count_falls(_merge_points(one, other)) <= max(_count_falls(one), _count_falls(other))


def _count_falls(points: Points) -> int:
    if never_falls(points):
        return 0
    return sum(b[1] < a[1] for a, b in pairwise(points))


def _merge_points(one: Points, other: Points) -> Points:
    """Merge both in ascending order of time; if both have a point at a time, keep the larger."""
    both = sorted((*one, *other))
    return tuple(max(same) for _, same in groupby(both, key=lambda point: point[0]))
