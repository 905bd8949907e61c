"""Which changes of objects matter to a release, and which start no reconcile."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from canary.api import Intent, Status
from canary.api import Release as Releasing
from canary.api.traffic import ReplicaShare, TrafficSpec
from canary.core.plan import EnsureCanary
from canary.core.snapshot import ReleaseResource
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from canary.operator.changes import is_relevant
from canary.operator.controller import BURST, Controller
from canary.routers.registry import router_of
from tests.kube.fixtures_release import NAMESPACE, ReleaseOnFakeCluster, build_pod
from tests.kube.manual_timing import ManualTiming

IDENTITY = {"uid", "name", "namespace", "kind", "apiVersion"}


def with_status(item: Object, **status: Any) -> Object:
    """The object with other fields of its status."""
    return {**item, "status": {**(item.get("status") or {}), **status}}


def with_metadata(item: Object, **metadata: Any) -> Object:
    """The object with other metadata."""
    return {**item, "metadata": {**item["metadata"], **metadata}}


SET: Object = {
    "metadata": {"name": "auth-1", "namespace": NAMESPACE, "uid": "1", "resourceVersion": "7"},
    "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "auth"}}}},
    "status": {"replicas": 2, "readyReplicas": 1},
}
POD = build_pod("auth-1-a", SET)
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:01Z"}
UNREADY = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T03:05:00Z"}
CRASHED = {"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
ROUTE: Object = {**SET, "status": {"parents": [{"conditions": [{"type": "Accepted"}]}]}}

NOISE = [
    pytest.param(PODS, POD, with_status(POD, podIP="10.0.0.7", hostIP="10.0.0.1"), id="an address"),
    pytest.param(
        PODS,
        POD,
        with_status(POD, conditions=[*POD["status"]["conditions"], SCHEDULED]),
        id="a node",
    ),
    pytest.param(
        PODS, with_metadata(POD, deletionTimestamp="now"), None, id="a pod that has ended"
    ),
    pytest.param(REPLICA_SETS, SET, with_status(SET, readyReplicas=2), id="one more ready pod"),
    pytest.param(REPLICA_SETS, SET, with_status(SET, observedGeneration=2), id="a generation seen"),
    pytest.param(
        DEPLOYMENTS,
        SET,
        with_status(SET, conditions=[{"type": "Progressing", "lastUpdateTime": "now"}]),
        id="a Deployment's progress",
    ),
    pytest.param(AUTOSCALERS, SET, with_status(SET, currentMetrics=[{"cpu": 80}]), id="a load"),
    pytest.param(
        SERVICES, SET, with_status(SET, loadBalancer={"ingress": []}), id="an address of a Service"
    ),
    pytest.param(
        RELEASES, SET, with_status(SET, phase="Progressing"), id="the operator's own status"
    ),
    pytest.param(
        HTTP_ROUTES, ROUTE, with_metadata(ROUTE, resourceVersion="8"), id="the same again"
    ),
]
NEWS = [
    pytest.param(
        PODS, POD, with_status(POD, conditions=[UNREADY]), id="a pod is not ready any more"
    ),
    pytest.param(PODS, POD, with_status(POD, containerStatuses=[CRASHED]), id="a pod crashes"),
    pytest.param(
        PODS, POD, with_metadata(POD, deletionTimestamp="now"), id="a pod is being deleted"
    ),
    pytest.param(PODS, POD, None, id="a pod is gone at once"),
    pytest.param(PODS, None, POD, id="a pod is created"),
    pytest.param(REPLICA_SETS, SET, with_status(SET, readyReplicas=0), id="the last ready pod"),
    pytest.param(DEPLOYMENTS, SET, with_status(SET, availableReplicas=2), id="an available pod"),
    pytest.param(DEPLOYMENTS, SET, with_metadata(SET, annotations={"a": "b"}), id="an annotation"),
    pytest.param(
        DEPLOYMENTS,
        SET,
        with_status(SET, conditions=[{"type": "ReplicaFailure", "status": "True"}]),
        id="a quota that refuses pods",
    ),
    pytest.param(
        AUTOSCALERS, SET, {**SET, "spec": {"minReplicas": 1}}, id="an autoscaler's minimum"
    ),
    pytest.param(SERVICES, SET, {**SET, "spec": {"selector": {}}}, id="a Service's selector"),
    pytest.param(
        RELEASES,
        SET,
        with_metadata(SET, annotations={"canary-controller.dev/request": "{}"}),
        id="a request",
    ),
    pytest.param(RELEASES, SET, with_metadata(SET, generation=2), id="another spec"),
    pytest.param(
        HTTP_ROUTES, ROUTE, with_status(ROUTE, parents=[]), id="a route that is not accepted"
    ),
]


@pytest.mark.parametrize(("kind", "old", "new"), NOISE)
def test_a_change_that_no_release_reads_starts_no_reconcile(
    kind: Kind, old: Object | None, new: Object | None
) -> None:
    """Most writes of Kubernetes's own controllers are of this kind."""
    assert not is_relevant(kind, old, new)


@pytest.mark.parametrize(("kind", "old", "new"), NEWS)
def test_a_change_that_a_release_reads_starts_a_reconcile(
    kind: Kind, old: Object | None, new: Object | None
) -> None:
    """Everything that protects waits for these."""
    assert is_relevant(kind, old, new)


def test_a_burst_of_changes_is_one_reconcile_soon_after_the_first() -> None:
    """Kubernetes writes one object after the other; what a person asks for is done at once."""
    stage, timing = ReleaseOnFakeCluster(), ManualTiming()
    nobody: Any = None
    controller = Controller(nobody, timing, list_keys=list, workers=0)
    release = stage.cluster.list(RELEASES, NAMESPACE, {})[0]
    controller.changed(RELEASES, None, release)
    controller.start()
    service = stage.cluster.list(SERVICES, NAMESPACE, {})[0]
    for kind, item in ((DEPLOYMENTS, stage.deployment()), (SERVICES, service)):
        controller.changed(kind, None, item)
        timing.time += BURST / 3
    assert controller.depth == 0
    timing.time = BURST
    assert controller.depth == 1
    at_once = Controller(nobody, timing, list_keys=list, workers=0)
    at_once.start()
    at_once.changed(RELEASES, release, with_metadata(release, annotations={"asked": "abort"}))
    assert at_once.depth == 1


def read_everything(stage: ReleaseOnFakeCluster, resource: ReleaseResource) -> object:
    """What a reconcile reads of the cluster; an error is another result too."""
    by_pods = TrafficSpec(replicas=ReplicaShare())
    try:
        workload = stage.workloads.read(resource)
        return workload, router_of(by_pods, stage.cluster).read(resource)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return repr(error)


def mutate(value: Any) -> Iterator[Any]:
    """The value with one field changed or removed, once for each field at any depth."""
    if isinstance(value, dict):
        for name in value.keys() - IDENTITY:
            if name != "metadata":
                yield {key: one for key, one in value.items() if key != name}
            yield from ({**value, name: other} for other in mutate(value[name]))
    elif isinstance(value, list):
        yield []
        for index, one in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in mutate(one))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (0, value + 1)
    else:
        yield "2026-02-03T04:05:06Z"


def test_whatever_a_reconcile_reads_is_a_change_that_starts_one() -> None:
    """One field after the other of every object changes: where the result differs, it is news."""
    stage = ReleaseOnFakeCluster()
    template = stage.change("auth:2", paused=True)
    release = Releasing(template=template, started_at=1.0, replicas=4)
    resource = stage.resource(Status(intent=Intent.ADVANCE, stable_hash="x", release=release))
    stage.workloads.apply(resource, EnsureCanary(template, 2))
    stage.roll("auth-canary")
    failing = {**CRASHED, "image": "auth:2", "state": {"waiting": {"reason": "ErrImagePull"}}}
    for pod in stage.cluster.list(PODS, NAMESPACE, {}):
        stage.cluster.put(PODS, with_status(pod, containerStatuses=[failing], podIP="10.0.0.7"))
    before, differ = read_everything(stage, resource), 0
    for kind in (PODS, REPLICA_SETS, DEPLOYMENTS, SERVICES):
        for item in stage.cluster.list(kind, NAMESPACE, {}):
            for changed in mutate(item):
                stage.cluster.put(kind, changed)
                if read_everything(stage, resource) != before:
                    differ += 1
                    assert is_relevant(kind, item, changed), (kind.plural, item, changed)
            stage.cluster.put(kind, deepcopy(item))
    assert differ > 10
