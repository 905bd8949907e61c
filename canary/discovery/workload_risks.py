"""Finds risks of a Deployment: other controllers, exclusive resources, configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.discovery.manifest_reader import ObjectReader, list_objects
from canary.kube.objects import Kind, Object
from canary.kube.workloads.other_controllers import CONTROLLERS, names_of_controllers, refers_to

CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SCALED_OBJECTS = Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
_OF_THE_CLUSTER = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
"""ConfigMaps that exist in every namespace."""
_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


def find_other_controllers(reader: ObjectReader, namespace: str, target: str) -> tuple[str, ...]:
    """Return other controllers' objects that name the Deployment, such as `Argo Rollout web`.

    Skips kinds that the cluster does not serve or that may not be listed.
    """
    return tuple(
        name
        for kind in CONTROLLERS
        for name in names_of_controllers(kind, list_objects(reader, kind, namespace)[0], target)
    )


def find_scaled_object(reader: ObjectReader, namespace: str, target: str) -> str | None:
    """Return the name of KEDA's ScaledObject for the Deployment; None without one."""
    found = list_objects(reader, SCALED_OBJECTS, namespace)[0]
    named = (one for one in found if refers_to(one, "scaleTargetRef", target))
    return next((str(one["metadata"]["name"]) for one in named), None)


def find_exclusive_resources(template: Object, claims: Mapping[str, Object]) -> Iterator[str]:
    """Yield resources that one node, or one pod per node, can use; `claims` are by name."""
    pod = template.get("spec") or {}
    if pod.get("hostNetwork"):
        yield "the pods use the host's network (hostNetwork)"
    ports = [port for one in _all_containers(pod) for port in one.get("ports") or ()]
    for number in sorted({port["hostPort"] for port in ports if port.get("hostPort")}):
        yield f"the pods use port {number} of their node (hostPort)"
    for volume in pod.get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        modes = set(((claims.get(str(name)) or {}).get("spec") or {}).get("accessModes") or ())
        if modes and modes <= _ONE_NODE:
            yield f"PersistentVolumeClaim {name} is {', '.join(sorted(modes))}"


def find_unversioned_configuration(template: Object) -> Iterator[str]:
    """Yield ConfigMaps and Secrets whose content can change while the template does not.

    A name with a hash (`auth-config-7hf2k9m4tb`, as Kustomize writes it) or a version
    (`auth-config-v2`) identifies one content; so does a checksum in the template's annotations.
    Credentials are excluded because they change outside of releases on purpose: Secrets that are
    mounted, or read key by key.
    """
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if any("checksum" in key or "hash" in key for key in annotations):
        return
    pod = template.get("spec") or {}
    found = {*_container_references(pod), *_volume_references(pod)}
    named = ((kind, name) for kind, name in sorted(found) if name not in _OF_THE_CLUSTER)
    yield from (f"{kind} {name}" for kind, name in named if not _is_versioned(name))


def _container_references(pod: Object) -> Iterator[tuple[str, str]]:
    for container in _all_containers(pod):
        for one in container.get("envFrom") or ():
            yield from _read_reference(one, "ConfigMap", "configMapRef")
            yield from _read_reference(one, "Secret", "secretRef")
        for variable in container.get("env") or ():
            yield from _read_reference(
                variable.get("valueFrom") or {}, "ConfigMap", "configMapKeyRef"
            )


def _volume_references(pod: Object) -> Iterator[tuple[str, str]]:
    for volume in pod.get("volumes") or ():
        for one in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield from _read_reference(one, "ConfigMap", "configMap")


def _read_reference(one: Object, kind: str, field: str) -> Iterator[tuple[str, str]]:
    if name := (one.get(field) or {}).get("name"):
        yield kind, str(name)


def _is_versioned(name: str) -> bool:
    """Return whether the last part of the name has a digit: `-v2`, `-2024-05-01`, `-7hf2k9m4tb`.

    Nearly every hash of Kustomize (ten characters) contains a digit.
    """
    *_, last = name.replace(".", "-").split("-")
    return "-" in name and any(character.isdigit() for character in last)


def _all_containers(pod: Object) -> list[Any]:
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
