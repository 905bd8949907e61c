"""RFC 6902 on plain JSON: test, add, replace, remove."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any


class PatchTestError(Exception):
    """A test failed, or a path is not there."""


def apply_patch(document: Any, patch: Sequence[Mapping[str, Any]]) -> Any:
    """A copy of the document with the patch applied. Raises DoesNotFitError."""
    result = deepcopy(document)
    for step in patch:
        keys = [key.replace("~1", "/").replace("~0", "~") for key in step["path"].split("/")[1:]]
        try:
            result = _step(result, step["op"], keys, deepcopy(step.get("value")))
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PatchTestError(step["path"]) from error
    return result


def _step(document: Any, op: str, keys: list[str], value: Any) -> Any:
    if not keys:
        if op == "test":
            _same(document, value)
            return document
        return value
    parent = document
    for key in keys[:-1]:
        parent = parent[_index(parent, key)]
    key = _index(parent, keys[-1])
    match op:
        case "test":  # as in the API server, a null value also fits what is not there
            _same(parent.get(key) if isinstance(parent, dict) else parent[key], value)
        case "add" if isinstance(parent, list):
            if key > len(parent):
                raise IndexError(key)
            parent.insert(key, value)
        case "add":
            parent[key] = value
        case "replace":
            _ = parent[key]
            parent[key] = value
        case "remove":
            del parent[key]
        case _:
            raise ValueError(op)
    return document


def _index(parent: Any, key: str) -> Any:
    if isinstance(parent, list):
        return len(parent) if key == "-" else int(key)
    if isinstance(parent, dict):
        return key
    raise TypeError(key)


def _same(found: Any, wanted: Any) -> None:
    if found != wanted or (isinstance(found, bool) != isinstance(wanted, bool)):
        raise ValueError(found)
