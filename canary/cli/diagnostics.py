"""What explain and report read beside the release: its pods, and the queries of its metrics."""

from collections.abc import Iterator
from dataclasses import replace

from canary.api import MetricStatus
from canary.cli.cluster import Session
from canary.core.snapshot import Canary, Pod, ReleaseResource, TargetDeployment
from canary.discovery.workload_risks import find_unversioned_configuration
from canary.errors import CanaryError
from canary.interfaces import Workload
from canary.kube.objects import Object
from canary.kube.workloads.canaries import Canaries, list_pods, read_target
from canary.kube.workloads.pods import parse_pod
from canary.metrics.promql import promql
from canary.observe import list_display_queries
from canary.render import explain
from canary.render.explain import Diagnostics, PrometheusQuery
from canary.render.release_view import ReleaseView
from canary.routers.registry import router_of
from canary.runbooks import runbook_url
from canary.text.format import join_names


def around(cluster: Session, found: Object, sight: ReleaseView) -> Diagnostics:
    """As much of it as the account may read; what could not be read is a note."""
    page = runbook_url(sight.status.reason) if explain.needs_runbook(sight) else None
    try:
        return replace(_around(cluster, found, sight), runbook=page)
    except CanaryError as error:
        return Diagnostics(notes=(f"pods and queries are not shown: {error}",), runbook=page)


def _around(cluster: Session, found: Object, sight: ReleaseView) -> Diagnostics:
    resource, workload = wish_of(found, sight), workload_of(cluster, found, sight)
    route = router_of(sight.spec.traffic, cluster.client).read(resource)
    guilty = explain.find_responsible_metrics(sight) if explain.needs_queries(sight) else ()
    wanted = {one.name for one in guilty} & _names(sight)
    queries = [
        PrometheusQuery(query.key, promql(query))
        for query in list_display_queries(resource, workload, route)
        if _metric_of(query.key) in wanted
    ]
    notes = (*_restarted(cluster, resource), *_notes(sight, guilty, queries))
    return Diagnostics(tuple(_pods(sight, workload)), tuple(queries), notes)


def _restarted(cluster: Session, resource: ReleaseResource) -> Iterator[str]:
    """A template that only restarts the pods brings no new version, but may bring new content."""
    seen = read_target(cluster.client, resource)
    if seen is None or seen.restart_of is None:
        return
    yield (
        "the template differs from the stable one only by the annotation of a restart: image, "
        "command and environment are the same"
    )
    if found := list(find_unversioned_configuration(seen.template)):
        yield (
            f"it reads {join_names(found)}, whose content is not part of the template: stable pods "
            "read what has changed there as well when they start again, and a rollback does not "
            "bring it back; put it right there, and name it by version (docs/lint.md, "
            "configuration-unversioned)"
        )


def wish_of(found: Object, sight: ReleaseView) -> ReleaseResource:
    """The release as the operator's code takes it."""
    metadata = found["metadata"]
    generation, version = int(metadata.get("generation", 1)), str(metadata["resourceVersion"])
    return ReleaseResource(
        sight.name, sight.namespace, generation, sight.spec, sight.status, version
    )


def workload_of(cluster: Session, found: Object, sight: ReleaseView) -> Workload:
    """Both versions' pods; after a rollback the canary's are those that there were."""
    resource = wish_of(found, sight)
    seen = read_target(cluster.client, resource)
    target = None
    if seen is not None:
        pods = list_pods(cluster.client, seen.deployment, seen.sets)
        alive = tuple(sorted((parse_pod(pod) for pod in pods), key=lambda pod: pod.name))
        target = TargetDeployment(
            seen.replicas, seen.wanted, seen.running, held=seen.paused, pods=alive
        )
    canary = Canaries(cluster.client).read(resource, found)
    if canary is None and sight.failed is not None and sight.failed.canary_pods:
        gone = tuple(map(_gone, sight.failed.canary_pods))
        canary = Canary(sight.failed.template, 0, gone)
    return Workload(target, canary)


def _pods(sight: ReleaseView, workload: Workload) -> Iterator[explain.CanaryPod]:
    canary = workload.canary
    known = sight.failed.canary_pods if sight.failed is not None else ()
    for pod in canary.pods if canary else ():
        restarts = f", restarted {pod.restarts} times" if pod.restarts else ""
        state = pod.trouble or ("ready" if pod.ready else "not ready")
        gone = pod.name in known and pod == _gone(pod.name)
        yield explain.CanaryPod(pod.name, "gone" if gone else f"{state}{restarts}", gone)


def _gone(name: str) -> Pod:
    """A pod of which nothing is left but its name."""
    return Pod(name, ready=False)


def _names(sight: ReleaseView) -> set[str]:
    return {one.name for one in sight.spec.analysis.metrics}


def _metric_of(key: str) -> str:
    """Keys are `errors.total`, `pool.in_use`, or the metric's name alone."""
    return key.partition(".")[0]


def _notes(
    sight: ReleaseView, guilty: tuple[MetricStatus, ...], queries: list[PrometheusQuery]
) -> Iterator[str]:
    missing = sorted({one.name for one in guilty} - {_metric_of(one.key) for one in queries})
    for name in missing:
        there = name in _names(sight)
        why = (
            "its versions cannot be told apart now (is the route there?)"
            if there
            else "it is not in the spec any more"
        )
        yield f"no query for {name}: {why}"
    if sight.failed is not None and queries:
        yield (
            "the queries count since each pod's start; ask them over the time above, and "
            "remember that a pod that is gone has no series after its end"
        )
