"""Gathers the input of a draft: from a cluster with its Prometheus, or from manifests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from canary.api.analysis import AnalysisSource
from canary.core.increments import Grid
from canary.core.series import SeriesQuery
from canary.discovery.evidence_time import TRAFFIC_WINDOW, TrafficRate, measure_traffic
from canary.discovery.manifest_reader import ManifestReader, ObjectReader
from canary.discovery.metrics_pages import MetricsPages, select_pods
from canary.discovery.preset_detection import DetectedPresets, detect_presets
from canary.discovery.prometheus_queries import Inquiry
from canary.discovery.selection import (
    DraftOptions,
    MetricSelection,
    TrafficSelection,
    build_query_context,
    select_metrics,
    select_service_and_routes,
)
from canary.discovery.topology import Topology, read_topology
from canary.errors import NotFoundError, UsageError
from canary.kube.objects import DEPLOYMENTS, PODS, Object
from canary.kube.transport import Transport
from canary.metrics.presets import ratio_preset
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.promql import range_selector
from canary.metrics.queries import Context, RatioQueries, answers_of, compile_ratio
from canary.text.format import join_names

_STEP = 30.0
"""Seconds between two samples of the current traffic."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """A cluster and, optionally, a Prometheus; `now` is the machine's clock."""

    reader: ObjectReader
    transport: Transport
    prometheus: PrometheusOptions | None
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class DraftInput:
    """Everything that a draft is made from."""

    topology: Topology
    selection: TrafficSelection
    measured: MetricSelection
    source: AnalysisSource = AnalysisSource.PROMETHEUS
    traffic: TrafficRate | None = None
    scrape: float | None = None
    """Seconds between two scrapes."""
    prometheus: str | None = None
    """Name of the Prometheus, unless it is the default."""
    named: bool = True
    """The namespace is known and is written into the draft."""


def gather_from_cluster(online: ClusterAccess, target: Object, wanted: DraftOptions) -> DraftInput:
    """Gather the input for this Deployment. Raises UsageError if a choice is ambiguous."""
    topology = read_topology(online.reader, target)
    selection = select_service_and_routes(topology, wanted)
    context = build_query_context(topology, selection)
    if online.prometheus is not None:
        inquiry = Inquiry(online.prometheus)
        try:
            own = inquiry.names_of(topology.namespace, topology.pods)
            seen = detect_presets(inquiry.labels_of, context, own)
            whose = _describe_pods(topology.pods, topology.name)
            where = f"Prometheus at {inquiry.url} has none for {whose}"
            measured = select_metrics(selection, seen, wanted.metrics, where)
            query = _compile_requests(measured, context)
            asked = Prometheus(online.prometheus)
            traffic = measure_recent_traffic(asked, query, online.now()) if query else None
            scrape = measure_scrape_interval(inquiry, query.total) if query else None
        finally:
            inquiry.close()
        return DraftInput(topology, selection, measured, traffic=traffic, scrape=scrape)
    pods = select_pods(online.reader.list(PODS, topology.namespace, {}), topology.pods)
    pages = MetricsPages(online.transport, pods)
    seen = detect_presets(pages.labels_of, context, pages.names, pods_only=True)
    why = _explain_empty_pages(pages)
    where = f"--prometheus was not given, and the pods' metrics pages are of no help ({why})"
    measured = select_metrics(selection, seen, wanted.metrics, where)
    source = (
        AnalysisSource.SCRAPE
        if _any_preset(seen) and not measured.why
        else AnalysisSource.PROMETHEUS
    )
    return DraftInput(topology, selection, measured, source)


def gather_from_manifests(
    objects: Iterable[Object], namespace: str, name: str | None, wanted: DraftOptions
) -> DraftInput:
    """Gather the input from manifests; `namespace` applies to objects without one ("": unknown).

    Raises:
        NotFoundError: the Deployment is not in the manifests.
        UsageError: a choice is ambiguous.
    """
    shelf = ManifestReader(objects, namespace)
    target = _select_deployment(shelf, name)
    topology = read_topology(shelf, target)
    selection = select_service_and_routes(topology, wanted)
    where = "manifests contain no metrics"
    measured = select_metrics(selection, None, wanted.metrics, where)
    return DraftInput(topology, selection, measured, named=bool(topology.namespace))


def measure_recent_traffic(
    source: Prometheus, queries: RatioQueries, now: float
) -> TrafficRate | None:
    """Return stable's traffic over the last ten minutes; None if it cannot be measured."""
    end = source.final_until(now) // _STEP * _STEP
    grid = Grid(end - TRAFFIC_WINDOW, end, _STEP)
    answers = source.read(queries.queries(), grid.start, grid.end, grid.step)
    source.close()
    return measure_traffic(answers_of(queries, answers), grid.start, grid.end)


def measure_scrape_interval(inquiry: Inquiry, query: SeriesQuery) -> float | None:
    """Return the seconds between two scrapes of these series; None with too few scrapes."""
    rows = inquiry.query_rows(range_selector(query.selector, 300))
    times = [time for time, _ in max((row.points for row in rows), key=len, default=())]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    return float(round(median(gaps))) or None if gaps else None


def _compile_requests(measured: MetricSelection, context: Context) -> RatioQueries | None:
    if measured.ratio is None:
        return None
    return compile_ratio(ratio_preset(measured.ratio), context, "errors")


def _select_deployment(shelf: ManifestReader, name: str | None) -> Object:
    found = shelf.list(DEPLOYMENTS, "", {})
    names = [one["metadata"]["name"] for one in found]
    if not names:
        raise NotFoundError("no Deployment found in these files")
    if name is None and len(names) > 1:
        raise UsageError(
            f"found {len(names)} Deployments in these files: {join_names(names)}; select one with "
            f"--deployment, such as --deployment {names[0]}"
        )
    if name is not None and name not in names:
        raise NotFoundError(f"no Deployment {name} in these files; found: {join_names(names)}")
    return found[names.index(name or names[0])]


def _any_preset(seen: DetectedPresets) -> bool:
    return bool(seen.ratios or seen.pools)


def _describe_pods(pods: tuple[str, ...], name: str) -> str:
    return (
        f"the {len(pods)} running pods of {name}" if pods else f"{name}, which has no running pod"
    )


def _explain_empty_pages(pages: MetricsPages) -> str:
    return pages.trouble or "they have no metric of a known preset"
