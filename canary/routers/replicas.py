"""Splits traffic without a router: the user's Service selects the pods of both versions.

The split follows the number of pods and is approximate. One canary pod beside nine is 10 %,
whatever the step's weight. A canary pod gets its share once it is ready, which is before checks and
before the weight is written. 100 % means as many canary pods as stable ones, not all of the
traffic. Only 0 is exact: the first write of a rollback scales the canary down.
"""

from dataclasses import dataclass

from canary.api import Intent
from canary.core.plan import SetWeight, TrafficAction
from canary.core.rollout import canary_size
from canary.core.snapshot import ReleaseResource, Route
from canary.kube.objects import DEPLOYMENTS, Object, Objects
from canary.routers.names import Names, names_of

FULL_PERCENT = 100
"""100 percent."""
RAISING_INTENTS = {Intent.ADVANCE, Intent.PROMOTE}
"""Annotation with the weight that was set; valid while the canary has the size for it."""


@dataclass(frozen=True, slots=True)
class ReplicaRouter:
    """A TrafficRouter for Services without a router: weights are numbers of pods."""

    objects: Objects

    def read(self, resource: ReleaseResource) -> Route | None:
        """See TrafficRouter. The versions have no backends: metrics distinguish them by pod."""
        names = names_of(resource)
        target = self._get_deployment(names, names.target)
        if target is None:
            return None
        canary = self._get_deployment(names, names.canary_target)
        if canary is None:
            return Route(weight=0, confirmed=True, at_rest=True)
        return Route(
            weight=_effective_weight(
                resource,
                _desired_replicas(canary),
                _ready_replicas(canary),
                _ready_replicas(target),
            ),
            confirmed=_is_rolled_out(canary),
            at_rest=_desired_replicas(canary) == 0,
        )

    def find_problem(self, resource: ReleaseResource) -> str | None:
        """Return why traffic cannot be split, in a sentence; None if it can."""
        names = names_of(resource)
        if self._get_deployment(names, names.target) is not None:
            return None
        return f"Deployment {names.target} does not exist in namespace {resource.namespace}."

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter. Above 0 the number of pods is the weight; the pods exist already."""
        if isinstance(action, SetWeight) and action.weight > 0:
            return
        names = names_of(resource)
        canary = self._get_deployment(names, names.canary_target)
        if canary is None or _desired_replicas(canary) == 0:
            return
        down = [
            {"op": "test", "path": "/metadata/uid", "value": canary["metadata"]["uid"]},
            {"op": "replace", "path": "/spec/replicas", "value": 0},
        ]
        self.objects.patch(DEPLOYMENTS, names.namespace, names.canary_target, down)

    def _get_deployment(self, names: Names, name: str) -> Object | None:
        return self.objects.get(DEPLOYMENTS, names.namespace, name)


def _desired_replicas(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _ready_replicas(deployment: Object) -> int:
    return int(deployment.get("status", {}).get("readyReplicas", 0))


def _is_rolled_out(deployment: Object) -> bool:
    """Return whether the Deployment has the desired number of pods, all ready."""
    status, wanted = deployment.get("status", {}), _desired_replicas(deployment)
    current: bool = status.get("observedGeneration") == deployment["metadata"]["generation"]
    return current and status.get("replicas", 0) == wanted == _ready_replicas(deployment)


def _effective_weight(resource: ReleaseResource, wanted: int, canary: int, stable: int) -> int:
    """Return the weight in percent: the one set, or the share of a larger canary, rounded up."""
    release, status = resource.status.release, resource.status
    if wanted == 0:
        return 0
    if release is not None and status.intent in RAISING_INTENTS:
        step = resource.spec.steps[min(status.step, len(resource.spec.steps) - 1)].weight
        percent = FULL_PERCENT if status.intent is Intent.PROMOTE else step
        if wanted <= canary_size(resource.spec, release.replicas, percent):
            return status.weight
    return -(-FULL_PERCENT * canary // (canary + stable)) if canary else 1
