"""Evaluates Kubernetes label selectors. Pure."""

from collections.abc import Mapping
from typing import Any

Labels = Mapping[str, str]


def selector_matches(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Return whether `matchLabels` and `matchExpressions` match; an empty selector matches all."""
    found = selector or {}
    same = (found.get("matchLabels") or {}).items() <= labels.items()
    return same and all(
        _expression_matches(one, labels) for one in found.get("matchExpressions") or ()
    )


def selector_keys(selector: Mapping[str, Any] | None) -> set[str]:
    """Return the keys of the labels that the selector uses."""
    found = selector or {}
    expressions = found.get("matchExpressions") or ()
    return {*(found.get("matchLabels") or {}), *(str(one.get("key")) for one in expressions)}


def _expression_matches(expression: Mapping[str, Any], labels: Labels) -> bool:
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
