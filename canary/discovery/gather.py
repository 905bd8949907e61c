"""Gathers what a draft is made from: in a cluster with its Prometheus, or from manifests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from canary.api.analysis import Source
from canary.core.increments import Grid
from canary.core.series import SeriesQuery
from canary.discovery.evidence_time import Traffic, traffic_of
from canary.discovery.manifest_reader import Reader, Shelf
from canary.discovery.metrics_pages import Pages, first_of
from canary.discovery.preset_detection import Sightings, look_for
from canary.discovery.prometheus_queries import Inquiry
from canary.discovery.selection import Choice, Measured, Wanted, choose, context_of, measure
from canary.discovery.topology import Around, look_around
from canary.errors import NotFoundError, UsageError
from canary.kube.objects import DEPLOYMENTS, PODS, Object
from canary.kube.transport import Transport
from canary.metrics.presets import ratio_preset
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.promql import range_selector
from canary.metrics.queries import Context, RatioQueries, answers_of, compile_ratio
from canary.text.format import listed

_LATELY = 600.0
"""Seconds over which the present traffic is measured."""
_STEP = 30.0


@dataclass(frozen=True, slots=True)
class Online:
    """A cluster, and a Prometheus where there is one; `now` is the machine's clock."""

    reader: Reader
    transport: Transport
    prometheus: PrometheusOptions | None
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Found:
    """All that a draft is made from."""

    around: Around
    choice: Choice
    measured: Measured
    source: Source = Source.PROMETHEUS
    traffic: Traffic | None = None
    scrape: float | None = None
    """Seconds between two scrapes."""
    named: bool = True
    """The namespace is known, so it is written down."""


def found_online(online: Online, target: Object, wanted: Wanted) -> Found:
    """What is around this Deployment. Raises UsageError where a person has to choose."""
    around = look_around(online.reader, target)
    choice = choose(around, wanted)
    context = context_of(around, choice)
    if online.prometheus is not None:
        inquiry = Inquiry(online.prometheus)
        try:
            own = inquiry.names_of(around.namespace, around.pods)
            seen = look_for(inquiry.labels_of, context, own)
            where = f"Prometheus at {inquiry.url} has none for {_of(around.pods, around.name)}"
            measured = measure(choice, seen, wanted.metrics, where)
            query = _requests(measured, context)
            asked = Prometheus(online.prometheus)
            traffic = lately(asked, query, online.now()) if query else None
            scrape = scrape_interval(inquiry, query.total) if query else None
        finally:
            inquiry.close()
        return Found(around, choice, measured, traffic=traffic, scrape=scrape)
    pods = first_of(online.reader.list(PODS, around.namespace, {}), around.pods)
    pages = Pages(online.transport, pods)
    seen = look_for(pages.labels_of, context, pages.names, pods_only=True)
    where = f"no --prometheus was given, and the pods' own pages say nothing ({_why(pages)})"
    measured = measure(choice, seen, wanted.metrics, where)
    source = Source.SCRAPE if _any(seen) and not measured.why else Source.PROMETHEUS
    return Found(around, choice, measured, source)


def found_offline(
    objects: Iterable[Object], namespace: str, name: str | None, wanted: Wanted
) -> Found:
    """The same from manifests; `namespace` is that of objects which name none ("" is unknown).

    Raises:
        NotFoundError: the Deployment is not among them.
        UsageError: a person has to choose.
    """
    shelf = Shelf(objects, namespace)
    target = _deployment(shelf, name)
    around = look_around(shelf, target)
    choice = choose(around, wanted)
    where = "files say nothing about metrics"
    measured = measure(choice, None, wanted.metrics, where)
    return Found(around, choice, measured, named=bool(around.namespace))


def lately(source: Prometheus, queries: RatioQueries, now: float) -> Traffic | None:
    """Stable's traffic over the last ten minutes; None where there is none to see."""
    end = source.settled(now) // _STEP * _STEP
    grid = Grid(end - _LATELY, end, _STEP)
    answers = source.read(queries.queries(), grid.start, grid.end, grid.step)
    source.close()
    return traffic_of(answers_of(queries, answers), grid.start, grid.end)


def scrape_interval(inquiry: Inquiry, query: SeriesQuery) -> float | None:
    """Seconds between two scrapes of these series; None where too few were seen."""
    rows = inquiry.rows(range_selector(query.selector, 300))
    times = [time for time, _ in max((row.points for row in rows), key=len, default=())]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    return float(round(median(gaps))) or None if gaps else None


def _requests(measured: Measured, context: Context) -> RatioQueries | None:
    if measured.ratio is None:
        return None
    return compile_ratio(ratio_preset(measured.ratio), context, "errors")


def _deployment(shelf: Shelf, name: str | None) -> Object:
    found = shelf.list(DEPLOYMENTS, "", {})
    names = [one["metadata"]["name"] for one in found]
    if not names:
        raise NotFoundError("no Deployment is in these files")
    if name is None and len(names) > 1:
        raise UsageError(
            f"{len(names)} Deployments are in these files: {listed(names)}; say which one: "
            f"--deployment {names[0]}"
        )
    if name is not None and name not in names:
        raise NotFoundError(f"no Deployment {name} is in these files; there are: {listed(names)}")
    return found[names.index(name or names[0])]


def _any(seen: Sightings) -> bool:
    return bool(seen.ratios or seen.pools)


def _of(pods: tuple[str, ...], name: str) -> str:
    return (
        f"the {len(pods)} running pods of {name}" if pods else f"{name}, which has no running pod"
    )


def _why(pages: Pages) -> str:
    return pages.trouble or "no metric of a known preset is on them"
