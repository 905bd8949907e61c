"""Parts of JSON Patches: preconditions, and changes of annotations."""

from collections.abc import Mapping
from typing import Any

from canary.kube.objects import Object

Patch = list[dict[str, Any]]


def expect_unchanged(obj: Object, *paths: str) -> Patch:
    """Return `test` steps: the patch fails unless these fields have the values of `obj`."""
    return [{"op": "test", "path": path, "value": _value_at(obj, path)} for path in paths]


def annotation_patch(obj: Object, values: Mapping[str, str | None]) -> Patch:
    """Return steps that set annotations, or remove those with the value None; [] for no change."""
    found = obj["metadata"].get("annotations")
    have: Mapping[str, str] = found or {}
    changed = {key: value for key, value in values.items() if have.get(key) != value}
    if not changed:
        return []
    if found is None:
        # Another writer may add the first annotation in between, which must not be replaced.
        value = {key: value for key, value in changed.items() if value is not None}
        version = expect_unchanged(obj, "/metadata/resourceVersion")
        return [*version, {"op": "add", "path": "/metadata/annotations", "value": value}]
    return [_annotation_step(key, value) for key, value in changed.items()]


def _annotation_step(key: str, value: str | None) -> dict[str, Any]:
    path = f"/metadata/annotations/{key.replace('~', '~0').replace('/', '~1')}"
    if value is None:
        return {"op": "remove", "path": path}
    return {"op": "add", "path": path, "value": value}


def _value_at(obj: Object, path: str) -> object:
    value: Any = obj
    for part in path.strip("/").split("/"):
        value = value[part]
    return value
