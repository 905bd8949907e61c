"""Finds out which other client wrote the weights of a route."""

from canary.kube.claims import MANAGER, list_field_owners
from canary.kube.objects import Object


def find_last_writer(route: Object, at: tuple[str, str]) -> str | None:
    """Return the last writer of this part of the spec; None if it is canary or unknown.

    Changing a field takes its ownership, so as long as canary owns it nobody else changed it.
    """
    entries = [entry for _, entry in list_field_owners(route, at)]
    if not entries or any(entry.get("manager") == MANAGER for entry in entries):
        return None
    latest = max(entries, key=lambda entry: str(entry.get("time", "")))
    return str(latest.get("manager")) if latest.get("manager") else None
