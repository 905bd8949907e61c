"""Field ownership: reads managedFields, and gives up the operator's own claims."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.kube.objects import JsonPatch, Object

MANAGER = "canary-controller"
"""The operator's field manager."""

Entry = Mapping[str, Any]


def list_field_owners(obj: Object, at: tuple[str, str]) -> Iterator[tuple[int, Entry]]:
    """Yield index and entry of each field manager that owns this field, such as (spec, rules)."""
    for index, entry in enumerate(obj["metadata"].get("managedFields") or []):
        fields = entry.get("fieldsV1", {}).get(f"f:{at[0]}", {})
        if not entry.get("subresource") and f"f:{at[1]}" in fields:
            yield index, entry


def find_own_claim(obj: Object, at: tuple[str, str]) -> int | None:
    """Return the index of the operator's entry in managedFields that owns this field."""
    found = (i for i, entry in list_field_owners(obj, at) if entry.get("manager") == MANAGER)
    return next(found, None)


def remove_claim_patch(obj: Object, at: tuple[str, str]) -> JsonPatch:
    """Return the patch that removes the operator's entry; [] when it owns nothing.

    The entry would make the user's next server-side apply conflict. The API server adds it with
    each change of the field, so this patch has to follow the change, in a request of its own.
    """
    index = find_own_claim(obj, at)
    if index is None:
        return []
    path, entry = f"/metadata/managedFields/{index}", obj["metadata"]["managedFields"][index]
    return [{"op": "test", "path": path, "value": entry}, {"op": "remove", "path": path}]
