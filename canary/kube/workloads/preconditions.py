"""Preconditions of a release: finds what prevents one before it starts."""

from collections.abc import Iterator

from canary.api import Intent, Reason
from canary.core.snapshot import Obstacle, ReleaseResource
from canary.kube.objects import DEPLOYMENTS, RELEASES, SERVICES, Object, Objects
from canary.kube.workloads.canaries import without_service
from canary.kube.workloads.isolation import replaced_labels
from canary.kube.workloads.names import canary_name, controlled_by, service_name
from canary.kube.workloads.other_controllers import other_controller
from canary.kube.workloads.target import TargetState


def find_obstacle(
    objects: Objects, resource: ReleaseResource, owner: Object, seen: TargetState
) -> Obstacle | None:
    """Return the first obstacle; None when a release can start."""
    return (
        _find_other_release(objects, resource, seen)
        or _find_other_controller(objects, resource, seen)
        or _find_service_obstacle(objects, resource, seen)
        or _find_name_conflict(objects, resource, owner)
    )


def _find_other_release(
    objects: Objects, resource: ReleaseResource, seen: TargetState
) -> Obstacle | None:
    """Find another CanaryRelease that manages the target; one that no longer exists is none."""
    guard = seen.managed_by
    if guard is None or guard == resource.name:
        return None
    other = objects.get(RELEASES, resource.namespace, guard)
    target = resource.spec.target.name
    if other is None or other["spec"]["target"]["name"] != target:
        return None
    message = f"Deployment {target} is already managed by CanaryRelease {guard}."
    return Obstacle(Reason.TARGET_TAKEN, message)


def _find_other_controller(
    objects: Objects, resource: ReleaseResource, seen: TargetState
) -> Obstacle | None:
    """Find a Canary or Rollout of the target; only before adoption and before a release."""
    status, target = resource.status, resource.spec.target.name
    if status.intent is not Intent.REST or seen.wanted == status.stable_hash:
        return None
    other = other_controller(objects, resource.namespace, target)
    if other is None:
        return None
    message = (
        f"{other} controls Deployment {target} as well, and both would scale it: delete "
        f"{other}, or CanaryRelease {resource.name}."
    )
    return Obstacle(Reason.TARGET_TAKEN, message)


def _find_service_obstacle(
    objects: Objects, resource: ReleaseResource, seen: TargetState
) -> Obstacle | None:
    if without_service(objects, resource):
        return None
    name = service_name(resource)
    service = objects.get(SERVICES, resource.namespace, name)
    if service is None:
        message = f"Service {name} does not exist in namespace {resource.namespace}."
        return Obstacle(Reason.SERVICE_NOT_FOUND, message)
    services = objects.list(SERVICES, resource.namespace, {})
    found = replaced_labels(resource.spec, service, services, seen.deployment)
    return (
        found if isinstance(found, Obstacle) else _find_port_obstacle(service, seen, resource.name)
    )


def _find_port_obstacle(service: Object, seen: TargetState, release: str) -> Obstacle | None:
    """Find a Service without ports, or a targetPort that only the paused template has.

    The latter happens when Service and Deployment change a port together. Only the first port is
    checked, as further ones may be new. Containers need not declare port numbers, so a number
    counts only when the new version declares it in place of one that the running pods declare.
    """
    name, ports = service["metadata"]["name"], service["spec"].get("ports")
    if not ports:
        message = (
            f"Service {name} has no ports, so no requests can be sent to the new version: add the"
            " port on which the pods listen to spec.ports."
        )
        return Obstacle(Reason.SERVICE_SELECTS_NO_POD, message)
    port = ports[0]
    wanted = port.get("targetPort")
    field, named = (
        ("name", "the port named") if isinstance(wanted, str) else ("containerPort", "port")
    )
    running = [one for one in seen.sets if int(one["spec"].get("replicas", 0)) > 0]
    has = {found for one in running for found in _list_ports(one["spec"], field)}
    new = set(_list_ports(seen.deployment["spec"], field))
    moved = field == "name" or (wanted in new and not has <= new)
    if wanted is None or not running or wanted in has or not moved:
        return None
    known = ", ".join(sorted(map(str, has))) or "no named port"
    message = (
        f"Port {port['port']} of Service {name} sends to {named} {wanted}, which no running pod has"
        f" (they have: {known}), so requests fail: set targetPort back until the new version is"
        " released."
    )
    if wanted in new:
        message += (
            " The new version has the port; to release it at once:"
            f" canary promote {release} --skip-analysis --reason TEXT."
        )
    return Obstacle(Reason.SERVICE_SELECTS_NO_POD, message)


def _list_ports(owner: Object, field: str) -> Iterator[object]:
    """Yield the names or numbers of the ports in the pod template of this spec."""
    spec = owner["template"].get("spec") or {}
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        yield from (port[field] for port in container.get("ports") or [] if field in port)


def _find_name_conflict(
    objects: Objects, resource: ReleaseResource, owner: Object
) -> Obstacle | None:
    name = canary_name(resource)
    for kind in (DEPLOYMENTS, SERVICES):
        found = objects.get(kind, resource.namespace, name)
        if found is not None and not controlled_by(found, owner["metadata"]["uid"]):
            message = (
                f"{kind.kind} {name} exists and does not belong to this release; the canary needs "
                "this name."
            )
            return Obstacle(Reason.NAME_TAKEN, message)
    return None
