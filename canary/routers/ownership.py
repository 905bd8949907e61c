"""Who wrote what: the API server's managedFields."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.kube.objects import Object

MANAGER = "canary-controller"
"""Our field manager."""

Entry = Mapping[str, Any]


def writer(route: Object, at: tuple[str, str]) -> str | None:
    """Who wrote this part of the spec last; None where it was us, or nobody says.

    Whoever changes a value takes it from all others, so while it is ours nobody has changed it.
    """
    owners = [entry for _, entry in _owners(route, at)]
    if not owners or any(entry.get("manager") == MANAGER for entry in owners):
        return None
    latest = max(owners, key=lambda entry: str(entry.get("time", "")))
    return str(latest.get("manager")) if latest.get("manager") else None


def ours(route: Object, at: tuple[str, str]) -> int | None:
    """Index of our entry in managedFields, where it claims this part of the spec."""
    found = (i for i, entry in _owners(route, at) if entry.get("manager") == MANAGER)
    return next(found, None)


def _owners(route: Object, at: tuple[str, str]) -> Iterator[tuple[int, Entry]]:
    for index, entry in enumerate(route["metadata"].get("managedFields") or []):
        fields = entry.get("fieldsV1", {}).get(f"f:{at[0]}", {})
        if not entry.get("subresource") and f"f:{at[1]}" in fields:
            yield index, entry
