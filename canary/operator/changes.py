"""Tells changes of objects that matter to a release from those that do not.

Kubernetes writes an object many times for one change that matters. A pod that starts is written
when it is created, scheduled, given an address, started and ready, and only the first and the last
matter. One reconcile for each write would be most of what a release costs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.pods import describe_pull_failure, is_alive, parse_pod

_DEPLOYMENT_STATUS = (
    "observedGeneration",
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "updatedReplicas",
)


def is_relevant(kind: Kind, old: Object | None, new: Object | None) -> bool:
    """Return whether a release may have to be reconciled after this change.

    An object that is not as expected is: the reconcile reports what is wrong with it.
    """
    select = _SELECT.get(kind, _whole_object)
    try:
        before, after = (None if item is None else select(item) for item in (old, new))
    except (KeyError, TypeError, ValueError, AttributeError):
        return True
    return before != after


def _desired_release(release: Object) -> object:
    """Return what people write in a release; its status is the operator's."""
    names = ("uid", "generation", "annotations", "deletionTimestamp", "finalizers")
    return [release["metadata"].get(name) for name in names]


def _relevant_pod(pod: Object) -> object:
    """Return what is read of a pod; None if it no longer counts, as if it did not exist."""
    if not is_alive(pod):
        return None
    own = [pod["metadata"].get(name) for name in ("uid", "labels", "ownerReferences")]
    return own, parse_pod(pod), describe_pull_failure(pod)


def _relevant_deployment(deployment: Object) -> object:
    status = deployment.get("status") or {}
    counts = [status.get(name) for name in _DEPLOYMENT_STATUS]
    conditions = status.get("conditions") or ()
    failures = [one for one in conditions if one["type"] == "ReplicaFailure"]
    return _relevant_metadata(deployment), counts, failures


def _replica_set(one: Object) -> object:
    """Return the desired state, and whether there are pods and ready ones; not how many."""
    status = one.get("status") or {}
    return _relevant_metadata(one), [
        bool(status.get(name)) for name in ("replicas", "readyReplicas")
    ]


def _relevant_metadata(item: Object) -> object:
    return _omit_keys(item["metadata"], "resourceVersion", "managedFields"), item.get("spec")


def _whole_object(item: Object) -> object:
    return {**item, "metadata": _omit_keys(item["metadata"], "resourceVersion")}


def _omit_keys(values: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


_SELECT: Mapping[Kind, Callable[[Object], object]] = {
    RELEASES: _desired_release,
    PODS: _relevant_pod,
    DEPLOYMENTS: _relevant_deployment,
    REPLICA_SETS: _replica_set,
    SERVICES: _relevant_metadata,
    AUTOSCALERS: _relevant_metadata,
}
"""What is read of each kind. Of other kinds everything is read."""
