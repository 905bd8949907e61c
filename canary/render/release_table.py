"""Renders releases as a table with the printer columns of the CRD, also for `-o wide`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from canary.text.format import format_age
from canary.text.sanitize import strip_controls

Object = Mapping[str, Any]
_COLUMNS = ("NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "REASON", "AGE")
_WIDE = ("TARGET", "STABLE", "CANARY", "MESSAGE")


def column_names(*, wide: bool, namespaces: bool) -> list[str]:
    """Return the names of the columns."""
    return [*(["NAMESPACE"] if namespaces else []), *_COLUMNS, *(_WIDE if wide else [])]


def release_row(release: Object, now: float, *, wide: bool, namespaces: bool) -> list[str]:
    """Return the cells of a release, even an incomplete one; `now` in seconds since the epoch."""
    metadata, spec, status = release["metadata"], release.get("spec") or {}, _status_of(release)
    cells = [
        metadata["name"],
        status.get("phase", "Pending"),
        status.get("currentStep", ""),
        f"{status.get('weight', 0)}%",
        status.get("verdict", ""),
        status.get("reason", ""),
        format_age(now - datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()),
    ]
    more = [
        (spec.get("target") or {}).get("name", ""),
        status.get("stableHash", ""),
        (status.get("release") or {}).get("template", ""),
        status.get("message", ""),
    ]
    named = [metadata.get("namespace", "")] if namespaces else []
    return [strip_controls(str(cell)) or "-" for cell in (*named, *cells, *(more if wide else []))]


def align_columns(rows: Sequence[Sequence[str]], widths: Sequence[int] = ()) -> list[str]:
    """Return lines in columns, three spaces apart; `widths` are minimum widths."""
    widest = column_widths(rows, widths)
    return ["   ".join(map(str.ljust, cells, widest)).rstrip() for cells in rows]


def column_widths(rows: Sequence[Sequence[str]], least: Sequence[int] = ()) -> list[int]:
    """Return the width in cells of each column."""
    found = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [max(pair) for pair in zip(found, least, strict=True)] if least else found


def _status_of(release: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = release.get("status") or {}
    return found
