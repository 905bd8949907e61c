"""Whether a label selector of any kind of object selects these labels. Pure."""

from collections.abc import Mapping
from typing import Any

Labels = Mapping[str, str]


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """As Kubernetes does it: `matchLabels` and `matchExpressions`; an empty one selects all."""
    found = selector or {}
    same = (found.get("matchLabels") or {}).items() <= labels.items()
    return same and all(_holds(one, labels) for one in found.get("matchExpressions") or ())


def keys_of(selector: Mapping[str, Any] | None) -> set[str]:
    """The labels that it looks at."""
    found = selector or {}
    expressions = found.get("matchExpressions") or ()
    return {*(found.get("matchLabels") or {}), *(str(one.get("key")) for one in expressions)}


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
