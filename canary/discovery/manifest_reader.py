"""Where objects are read from: a cluster, or manifests as files."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from canary.errors import CanaryError, NotFoundError, UsageError
from canary.kube.objects import Kind, Object

Fields = tuple[tuple[str, type], ...]

_SPEC: Fields = (("spec", dict),)
_REQUIRED: Mapping[str, Fields] = {
    "Deployment": (
        ("spec.selector", dict),
        ("spec.template.spec", dict),
        ("spec.template.spec.containers", list),
    ),
    **dict.fromkeys(
        (
            *("Service", "HTTPRoute", "GRPCRoute", "VirtualService", "TraefikService"),
            *("HorizontalPodAutoscaler", "CronJob", "NetworkPolicy"),
        ),
        _SPEC,
    ),
}
_CLUSTER_WIDE = frozenset({"Namespace", "GatewayClass", "CustomResourceDefinition"})


class Reader(Protocol):
    """What a survey needs of `canary.kube.client.Client`: it only reads."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object; None when there is none. Raises CanaryError."""
        ...

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """All objects with these labels; namespace "" means everywhere. Raises CanaryError."""
        ...


class Shelf:
    """Manifests, as if they were in a cluster: any version of an API group counts."""

    def __init__(self, objects: Iterable[Object], namespace: str) -> None:
        self.objects = tuple(_settled(one, namespace) for one in objects)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See Reader."""
        found = self.list(kind, namespace, {})
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """See Reader."""
        return [
            one
            for one in self.objects
            if _is(one, kind)
            and namespace in {"", one["metadata"].get("namespace", "")}
            and labels.items() <= (one["metadata"].get("labels") or {}).items()
        ]


def listed(reader: Reader, kind: Kind, namespace: str) -> tuple[list[Object], str | None]:
    """All objects of a kind, and why they could not be seen.

    A kind that the cluster does not serve has no objects, and that is no trouble.
    """
    try:
        return reader.list(kind, namespace, {}), None
    except NotFoundError:
        return [], None
    except CanaryError as error:
        return [], str(error)


def members(data: object) -> Iterator[Object]:
    """The objects of one YAML document: itself, or those of a `List`; none that has no name."""
    if not isinstance(data, dict):
        return
    if isinstance(items := data.get("items"), list) and str(data.get("kind")).endswith("List"):
        for item in items:
            yield from members(item)
    elif isinstance(metadata := data.get("metadata"), dict) and metadata.get("name"):
        found = without_nulls(data)
        for path, type_ in _REQUIRED.get(str(data.get("kind")), ()):
            if _is_null(data, path) or not isinstance(_at(found, path), type_ | None):
                what = "a list" if type_ is list else "a mapping"
                name = f"{data['kind']} {metadata['name']}"
                raise UsageError(f"{name}: {path} ({what}) is expected, and it is empty")
            if _at(found, path) is None:
                return  # A part of a manifest, such as a patch of Kustomize: nothing to look at.
        yield found


def without_nulls(data: object) -> Any:  # noqa: ANN401 - of the type that it had
    """Return the value without empty (null) fields, which the API server takes as absent."""
    if isinstance(data, dict):
        return {key: without_nulls(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [without_nulls(item) for item in data if item is not None]
    return data


def _is_null(data: object, path: str) -> bool:
    """Whether the field at this path, or a field on the way to it, is there and is empty."""
    for part in path.split("."):
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
        if data is None:
            return True
    return False


def _at(data: object, path: str) -> object:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _is(one: Object, kind: Kind) -> bool:
    group, _, version = str(one.get("apiVersion", "")).rpartition("/")
    return one.get("kind") == kind.kind and group == kind.group and bool(version)


def _settled(one: Object, namespace: str) -> Object:
    if one["metadata"].get("namespace") or one.get("kind") in _CLUSTER_WIDE:
        return one
    return {**one, "metadata": {**one["metadata"], "namespace": namespace}}
