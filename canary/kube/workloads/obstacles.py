"""Why no release can be taken of a target, seen before one starts."""

from canary.api import Reason
from canary.core.snapshot import Obstacle, Wish
from canary.kube.objects import DEPLOYMENTS, RELEASES, SERVICES, Object, Objects
from canary.kube.workloads.canary_objects import not_isolated
from canary.kube.workloads.names import canary_name, controlled_by, service_name
from canary.kube.workloads.target import Seen


def obstacle_of(objects: Objects, wish: Wish, owner: Object, seen: Seen) -> Obstacle | None:
    """The first one; None where a release could start."""
    return (
        _taken(objects, wish, seen)
        or _service(objects, wish, seen)
        or _name_taken(objects, wish, owner)
    )


def _taken(objects: Objects, wish: Wish, seen: Seen) -> Obstacle | None:
    """A guard that is gone, or guards something else now, guards nothing."""
    guard = seen.guard
    if guard is None or guard == wish.name:
        return None
    other = objects.get(RELEASES, wish.namespace, guard)
    target = wish.spec.target.name
    if other is None or other["spec"]["target"]["name"] != target:
        return None
    message = f"Deployment {target} is guarded by CanaryRelease {guard} already."
    return Obstacle(Reason.TARGET_TAKEN, message)


def _service(objects: Objects, wish: Wish, seen: Seen) -> Obstacle | None:
    name = service_name(wish)
    service = objects.get(SERVICES, wish.namespace, name)
    if service is None:
        message = f"Service {name} does not exist in namespace {wish.namespace}."
        return Obstacle(Reason.SERVICE_NOT_FOUND, message)
    return not_isolated(wish.spec, service, seen.template)


def _name_taken(objects: Objects, wish: Wish, owner: Object) -> Obstacle | None:
    name = canary_name(wish)
    for kind in (DEPLOYMENTS, SERVICES):
        found = objects.get(kind, wish.namespace, name)
        if found is not None and not controlled_by(found, owner["metadata"]["uid"]):
            message = f"{kind.kind} {name} exists and is not ours; the canary needs this name."
            return Obstacle(Reason.NAME_TAKEN, message)
    return None
