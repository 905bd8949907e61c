"""Reads objects from manifests with the interface of the cluster's client."""

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


class ObjectReader(Protocol):
    """The read methods of `canary.kube.client.Client`."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the object, or None if it does not exist. Raises CanaryError."""
        ...

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return all objects with these labels; namespace "" means all. Raises CanaryError."""
        ...


class ManifestReader:
    """Serves manifests as a cluster would; matches every version of an API group."""

    def __init__(self, objects: Iterable[Object], namespace: str) -> None:
        self.objects = tuple(_with_namespace(one, namespace) for one in objects)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See `ObjectReader`."""
        found = self.list(kind, namespace, {})
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """See `ObjectReader`."""
        return [
            one
            for one in self.objects
            if _is_kind(one, kind)
            and namespace in {"", one["metadata"].get("namespace", "")}
            and labels.items() <= (one["metadata"].get("labels") or {}).items()
        ]


def list_objects(
    reader: ObjectReader, kind: Kind, namespace: str
) -> tuple[list[Object], str | None]:
    """Return all objects of a kind, and an error message if they could not be listed.

    A kind that the cluster does not serve has no objects; that is not an error.
    """
    try:
        return reader.list(kind, namespace, {}), None
    except NotFoundError:
        return [], None
    except CanaryError as error:
        return [], str(error)


def extract_objects(data: object) -> Iterator[Object]:
    """Yield the object of one YAML document, or the items of a `List`; skips unnamed ones.

    Raises:
        UsageError: a required field is empty or has the wrong type.
    """
    if not isinstance(data, dict):
        return
    if isinstance(items := data.get("items"), list) and str(data.get("kind")).endswith("List"):
        for item in items:
            yield from extract_objects(item)
    elif isinstance(metadata := data.get("metadata"), dict) and metadata.get("name"):
        found = without_nulls(data)
        for path, type_ in _REQUIRED.get(str(data.get("kind")), ()):
            if _is_null(data, path) or not isinstance(_value_at(found, path), type_ | None):
                what = "a list" if type_ is list else "a mapping"
                name = f"{data['kind']} {metadata['name']}"
                raise UsageError(f"{name}: {path}: expected {what}, found nothing")
            if _value_at(found, path) is None:
                return  # A partial manifest, such as a Kustomize patch.
        yield found


def without_nulls(data: object) -> Any:  # noqa: ANN401 - of the type that it had
    """Return the value without null fields, which the API server treats as absent."""
    if isinstance(data, dict):
        return {key: without_nulls(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [without_nulls(item) for item in data if item is not None]
    return data


def _is_null(data: object, path: str) -> bool:
    """Return whether the field at this path, or one of its parents, is present and null."""
    for part in path.split("."):
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
        if data is None:
            return True
    return False


def _value_at(data: object, path: str) -> object:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _is_kind(one: Object, kind: Kind) -> bool:
    group, _, version = str(one.get("apiVersion", "")).rpartition("/")
    return one.get("kind") == kind.kind and group == kind.group and bool(version)


def _with_namespace(one: Object, namespace: str) -> Object:
    if one["metadata"].get("namespace") or one.get("kind") in _CLUSTER_WIDE:
        return one
    return {**one, "metadata": {**one["metadata"], "namespace": namespace}}
