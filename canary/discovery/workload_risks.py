"""Risks of the Deployment itself: other controllers, exclusive volumes and ports, configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.discovery.manifest_reader import Reader, listed
from canary.kube.objects import Kind, Object
from canary.kube.workloads.other_controllers import CONTROLLERS, names_of_controllers, refers_to

CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SCALED_OBJECTS = Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
_OF_THE_CLUSTER = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
"""ConfigMaps that every namespace has."""
_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


def other_controllers(reader: Reader, namespace: str, target: str) -> tuple[str, ...]:
    """Return other controllers' objects that name the Deployment, such as `Argo Rollout web`.

    Kinds that the cluster does not serve, or that may not be listed, have none.
    """
    return tuple(
        name
        for kind in CONTROLLERS
        for name in names_of_controllers(kind, listed(reader, kind, namespace)[0], target)
    )


def scaled_object(reader: Reader, namespace: str, target: str) -> str | None:
    """Return the name of KEDA's ScaledObject for the Deployment; None without one."""
    found = listed(reader, SCALED_OBJECTS, namespace)[0]
    named = (one for one in found if refers_to(one, "scaleTargetRef", target))
    return next((str(one["metadata"]["name"]) for one in named), None)


def exclusive_resources(template: Object, claims: Mapping[str, Object]) -> Iterator[str]:
    """Yield what only one pod per node, or one node, can have; `claims` by name."""
    pod = template.get("spec") or {}
    if pod.get("hostNetwork"):
        yield "the pods use the host's network (hostNetwork)"
    ports = [port for one in _containers(pod) for port in one.get("ports") or ()]
    for number in sorted({port["hostPort"] for port in ports if port.get("hostPort")}):
        yield f"the pods use port {number} of their node (hostPort)"
    for volume in pod.get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        modes = set(((claims.get(str(name)) or {}).get("spec") or {}).get("accessModes") or ())
        if modes and modes <= _ONE_NODE:
            yield f"PersistentVolumeClaim {name} is {', '.join(sorted(modes))}"


def unversioned_configuration(template: Object) -> Iterator[str]:
    """Yield ConfigMaps and Secrets whose content can change although the template does not.

    A name with a hash (`auth-config-7hf2k9m4tb`, as Kustomize writes it) or a version
    (`auth-config-v2`) stands for one content; so does a checksum in the template's annotations.
    Credentials are left out, as they change outside of releases on purpose: Secrets that are
    mounted, or read key by key.
    """
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if any("checksum" in key or "hash" in key for key in annotations):
        return
    pod = template.get("spec") or {}
    found = {*_from_containers(pod), *_from_volumes(pod)}
    named = ((kind, name) for kind, name in sorted(found) if name not in _OF_THE_CLUSTER)
    yield from (f"{kind} {name}" for kind, name in named if not _is_versioned(name))


def _from_containers(pod: Object) -> Iterator[tuple[str, str]]:
    for container in _containers(pod):
        for one in container.get("envFrom") or ():
            yield from _named(one, "ConfigMap", "configMapRef")
            yield from _named(one, "Secret", "secretRef")
        for variable in container.get("env") or ():
            yield from _named(variable.get("valueFrom") or {}, "ConfigMap", "configMapKeyRef")


def _from_volumes(pod: Object) -> Iterator[tuple[str, str]]:
    for volume in pod.get("volumes") or ():
        for one in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield from _named(one, "ConfigMap", "configMap")


def _named(one: Object, kind: str, field: str) -> Iterator[tuple[str, str]]:
    if name := (one.get(field) or {}).get("name"):
        yield kind, str(name)


def _is_versioned(name: str) -> bool:
    """Whether the last part of the name has a digit: `-v2`, `-2024-05-01`, `-7hf2k9m4tb`.

    A hash of Kustomize has ten characters, and next to none of them has no digit.
    """
    *_, last = name.replace(".", "-").split("-")
    return "-" in name and any(character.isdigit() for character in last)


def _containers(pod: Object) -> list[Any]:
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
