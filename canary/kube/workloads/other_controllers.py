"""Detects other controllers that scale a Deployment, such as Flagger and Argo Rollouts."""

from collections.abc import Iterable, Mapping

from canary.errors import NotFoundError, PermanentError
from canary.kube.objects import Kind, Object, Objects

CONTROLLERS: Mapping[Kind, str] = {
    Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout"): "workloadRef",
    Kind("flagger.app", "v1beta1", "canaries", "Canary"): "targetRef",
    Kind("rollouts.kruise.io", "v1beta1", "rollouts", "Rollout"): "workloadRef",
}
"""Kinds of other controllers that scale a Deployment, and the field that names it."""


def names_of_controllers(kind: Kind, found: Iterable[Object], target: str) -> Iterable[str]:
    """Yield the objects that reference the Deployment, such as `Canary.flagger.app auth`."""
    for one in found:
        if refers_to(one, CONTROLLERS[kind], target):
            yield f"{kind.kind}.{kind.group} {one['metadata']['name']}"


def refers_to(one: Object, field: str, target: str) -> bool:
    """Return whether this field of the object's spec references the Deployment."""
    spec = one.get("spec") or {}
    # Older versions of Kruise have it in spec.objectRef.
    ref = spec.get(field) or (spec.get("objectRef") or {}).get(field) or {}
    return ref.get("kind", "Deployment") == "Deployment" and ref.get("name") == target


def other_controller(objects: Objects, namespace: str, target: str) -> str | None:
    """Return the first controller that references the Deployment, or None.

    Kinds that cannot be listed for want of rights are skipped. Raises TransientError.
    """
    for kind in CONTROLLERS:
        try:
            found = objects.list(kind, namespace, {})
        except (NotFoundError, PermanentError):
            continue  # not served, or forbidden in an installation for single namespaces
        for name in names_of_controllers(kind, found, target):
            return name
    return None
