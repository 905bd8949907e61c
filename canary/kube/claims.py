"""Who wrote what: the API server's managedFields, and how a claim of ours is given up."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.kube.objects import JsonPatch, Object

MANAGER = "canary-controller"
"""Our field manager."""

Entry = Mapping[str, Any]


def list_field_owners(obj: Object, at: tuple[str, str]) -> Iterator[tuple[int, Entry]]:
    """Index and entry of each field manager that claims this field, such as (spec, rules)."""
    for index, entry in enumerate(obj["metadata"].get("managedFields") or []):
        fields = entry.get("fieldsV1", {}).get(f"f:{at[0]}", {})
        if not entry.get("subresource") and f"f:{at[1]}" in fields:
            yield index, entry


def find_own_claim(obj: Object, at: tuple[str, str]) -> int | None:
    """Index of our entry in managedFields, where it claims this field."""
    found = (i for i, entry in list_field_owners(obj, at) if entry.get("manager") == MANAGER)
    return next(found, None)


def remove_claim_patch(obj: Object, at: tuple[str, str]) -> JsonPatch:
    """Takes our entry away, as it would refuse the user's next apply; [] where we claim nothing.

    The API server notes whoever changes a field, so this is a patch of its own, after the change.
    """
    index = find_own_claim(obj, at)
    if index is None:
        return []
    path, entry = f"/metadata/managedFields/{index}", obj["metadata"]["managedFields"][index]
    return [{"op": "test", "path": path, "value": entry}, {"op": "remove", "path": path}]
