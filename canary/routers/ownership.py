"""Who wrote the weights, where it was not us."""

from canary.kube.claims import MANAGER, list_field_owners
from canary.kube.objects import Object


def find_last_writer(route: Object, at: tuple[str, str]) -> str | None:
    """Who wrote this part of the spec last; None where it was us, or nobody says.

    Whoever changes a value takes it from all others, so while it is ours nobody has changed it.
    """
    entries = [entry for _, entry in list_field_owners(route, at)]
    if not entries or any(entry.get("manager") == MANAGER for entry in entries):
        return None
    latest = max(entries, key=lambda entry: str(entry.get("time", "")))
    return str(latest.get("manager")) if latest.get("manager") else None
