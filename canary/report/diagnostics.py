"""Reads additional data for explain and report: pods, and queries of metrics."""

from collections.abc import Iterator
from dataclasses import replace

from canary.api import MetricStatus
from canary.core.snapshot import Canary, Pod, ReleaseResource, TargetDeployment
from canary.discovery.workload_risks import find_unversioned_configuration
from canary.errors import CanaryError
from canary.interfaces import Workload
from canary.kube.client import Client
from canary.kube.objects import Object
from canary.kube.workloads.canaries import Canaries, list_pods, read_target
from canary.kube.workloads.pods import parse_pod
from canary.metrics.promql import format_promql
from canary.observe import list_display_queries
from canary.render import explain
from canary.render.explain import Diagnostics, PrometheusQuery
from canary.render.release_view import ReleaseView
from canary.routers.registry import router_of
from canary.runbooks import runbook_url
from canary.text.format import join_names


def read_diagnostics(client: Client, found: Object, sight: ReleaseView) -> Diagnostics:
    """Return what the account may read, and a note about each part that is missing."""
    page = runbook_url(sight.status.reason) if explain.needs_runbook(sight) else None
    try:
        return replace(_read_pods_and_queries(client, found, sight), runbook=page)
    except CanaryError as error:
        return Diagnostics(notes=(f"pods and queries are not available: {error}",), runbook=page)


def _read_pods_and_queries(client: Client, found: Object, sight: ReleaseView) -> Diagnostics:
    resource, workload = to_release_resource(found, sight), read_workload(client, found, sight)
    route = router_of(sight.spec.traffic, client).read(resource)
    guilty = explain.find_responsible_metrics(sight) if explain.needs_queries(sight) else ()
    wanted = {one.name for one in guilty} & _metric_names(sight)
    queries = [
        PrometheusQuery(query.key, format_promql(query))
        for query in list_display_queries(resource, workload, route)
        if _metric_name(query.key) in wanted
    ]
    notes = (*_restart_notes(client, resource), *_query_notes(sight, guilty, queries))
    return Diagnostics(tuple(_describe_pods(sight, workload)), tuple(queries), notes)


def _restart_notes(client: Client, resource: ReleaseResource) -> Iterator[str]:
    """Explain a template that only restarts pods: the same version, possibly new configuration."""
    seen = read_target(client, resource)
    if seen is None or seen.restart_of is None:
        return
    yield (
        "the template differs from the stable one only by the restart annotation: image, command "
        "and environment are the same"
    )
    if found := list(find_unversioned_configuration(seen.template)):
        yield (
            f"it reads {join_names(found)}, whose content is not part of the template: restarted "
            "stable pods read the changed content too, and a rollback does not restore it; fix "
            "the content, and put a version into its name (docs/lint.md, "
            "configuration-unversioned)"
        )


def to_release_resource(found: Object, sight: ReleaseView) -> ReleaseResource:
    """Return the release in the type of the operator's code."""
    metadata = found["metadata"]
    generation, version = int(metadata.get("generation", 1)), str(metadata["resourceVersion"])
    return ReleaseResource(
        sight.name, sight.namespace, generation, sight.spec, sight.status, version
    )


def read_workload(client: Client, found: Object, sight: ReleaseView) -> Workload:
    """Return the pods of both versions; after a rollback the canary's pods are the deleted ones."""
    resource = to_release_resource(found, sight)
    seen = read_target(client, resource)
    target = None
    if seen is not None:
        pods = list_pods(client, seen.deployment, seen.sets)
        alive = tuple(sorted((parse_pod(pod) for pod in pods), key=lambda pod: pod.name))
        target = TargetDeployment(
            seen.replicas, seen.wanted, seen.running, held=seen.paused, pods=alive
        )
    canary = Canaries(client).read(resource, found)
    if canary is None and sight.failed is not None and sight.failed.canary_pods:
        gone = tuple(map(_deleted_pod, sight.failed.canary_pods))
        canary = Canary(sight.failed.template, 0, gone)
    return Workload(target, canary)


def _describe_pods(sight: ReleaseView, workload: Workload) -> Iterator[explain.CanaryPod]:
    canary = workload.canary
    known = sight.failed.canary_pods if sight.failed is not None else ()
    for pod in canary.pods if canary else ():
        restarts = f", restarted {pod.restarts} times" if pod.restarts else ""
        state = pod.trouble or ("ready" if pod.ready else "not ready")
        gone = pod.name in known and pod == _deleted_pod(pod.name)
        yield explain.CanaryPod(pod.name, "gone" if gone else f"{state}{restarts}", gone)


def _deleted_pod(name: str) -> Pod:
    """Return a deleted pod, of which only the name is known."""
    return Pod(name, ready=False)


def _metric_names(sight: ReleaseView) -> set[str]:
    return {one.name for one in sight.spec.analysis.metrics}


def _metric_name(key: str) -> str:
    """Return the name of a metric. Keys are `errors.total`, `pool.in_use`, or only the name."""
    return key.partition(".")[0]


def _query_notes(
    sight: ReleaseView, guilty: tuple[MetricStatus, ...], queries: list[PrometheusQuery]
) -> Iterator[str]:
    missing = sorted({one.name for one in guilty} - {_metric_name(one.key) for one in queries})
    for name in missing:
        there = name in _metric_names(sight)
        why = (
            "its versions cannot be distinguished now (does the route exist?)"
            if there
            else "it is no longer in the spec"
        )
        yield f"no query for {name}: {why}"
    if sight.failed is not None and queries:
        yield (
            "the queries count from the start of each pod; use the time range above, as a "
            "deleted pod has no series after its end"
        )
