"""Reads objects from manifests with the interface of the cluster's client."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from canary.api.yaml_documents import MAX_BYTES, read_documents
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


_SUFFIXES = {".yaml", ".yml", ".json"}
_NO_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml", "values.yaml", "Chart.yaml"})
"""Files of Kustomize and Helm that often lie beside manifests."""


def read_manifests(files: Sequence[str]) -> list[Object]:
    """Return all objects in these files and folders; `-` is standard input.

    Raises:
        UsageError: a file cannot be read or is not valid; names line and column.
    """
    return [one for file in files for path in find_paths(file) for one in _read_objects(path)]


def read_content(file: str) -> bytes:
    """Return at most one byte more than the maximum size, so that the caller can detect excess.

    Raises:
        OSError: the file cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def find_paths(file: str) -> Iterator[str]:
    """Yield the file, or the manifests in a folder. Raises UsageError if there are none."""
    folder = Path(file)
    if file == "-" or not folder.is_dir():
        yield file
        return
    found = sorted(
        one
        for one in folder.rglob("*")
        if one.suffix in _SUFFIXES and one.name not in _NO_MANIFESTS and one.is_file()
    )
    if not found:
        raise UsageError(f"{file}: expected a folder with YAML or JSON files, found none")
    yield from map(str, found)


def _read_objects(file: str) -> Iterator[Object]:
    name = "stdin" if file == "-" else file
    try:
        documents = read_documents(read_content(file))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from error
    for document in documents:
        for problem in document.problems:
            raise UsageError(f"{name}:{problem.line}:{problem.column}: {problem.message}")
        yield from extract_objects(document.data)
