"""Renders a release for machines and logs: one document, or one line per change."""

from typing import Any

from canary.api import MetricStatus, Status
from canary.core.next_step import describe_next_step
from canary.render.allowed_commands import list_allowed
from canary.render.release_view import (
    ReleaseView,
    current_metrics,
    exit_code,
    find_bad_conditions,
    min_seconds_left,
)
from canary.text.format import format_amount, format_errors_served, format_percent
from canary.text.sanitize import strip_controls

SCHEMA_VERSION = 1
"""`schemaVersion` of the document: within a version fields are added, never changed or removed."""


def format_line(view: ReleaseView) -> str:
    """Return one change as one line, in a fixed order: `prod/auth phase=… weight=10% … | why`."""
    status = view.status
    fields = [
        view.title,
        f"phase={status.phase}",
        f"step={_format_step(view)}",
        f"weight={status.weight}%",
        f"reason={status.reason}",
        f"verdict={status.verdict or '-'}",
        f"evidence={','.join(map(_format_evidence, current_metrics(status))) or '-'}",
    ]
    return f"{' '.join(fields)} | {strip_controls(status.message)}"


def change_key(status: Status) -> tuple[object, ...]:
    """Return the values whose change causes a new line; growing counters are not included."""
    verdicts = tuple((one.name, one.verdict) for one in current_metrics(status))
    return status.phase, status.step, status.weight, status.reason, status.verdict, verdicts


def _format_step(view: ReleaseView) -> str:
    return f"{view.status.step + 1}/{len(view.spec.steps)}" if view.under_way else "-"


def _format_evidence(one: MetricStatus) -> str:
    figures = f"{format_amount(one.evidence)}/{format_amount(one.threshold)}"
    return f"{one.name}:{figures}:{one.verdict}".replace(",", "")


def status_document(view: ReleaseView) -> dict[str, Any]:
    """Return the status as a JSON document."""
    status = view.status
    return {
        "schemaVersion": SCHEMA_VERSION,
        "namespace": view.namespace,
        "name": view.name,
        "phase": status.phase,
        "reason": status.reason,
        "message": status.message,
        "underWay": view.under_way,
        "step": status.step + 1 if view.under_way else None,
        "steps": len(view.spec.steps),
        "weight": status.weight,
        "verdict": status.verdict if view.under_way else None,
        "next": describe_next_step(view.spec, status, view.now),
        "leastSecondsLeft": min_seconds_left(view),
        "requests": [verb.value for verb in list_allowed(view.spec, status)],
        "metrics": [metric_document(one) for one in current_metrics(status)],
        "troubles": [
            {"type": one.type, "message": one.message} for one in find_bad_conditions(status)
        ],
        "exitCode": int(exit_code(status)),
    }


def metric_document(one: MetricStatus) -> dict[str, Any]:
    """Return the figures of one metric."""
    return {
        "name": one.name,
        "verdict": one.verdict,
        "reason": one.reason,
        **one.figures,
        "message": one.message,
    }


def format_end(view: ReleaseView) -> str:
    """Return how the last release ended, in one sentence."""
    last = view.last
    if last is None:
        return f"{view.title}: no release has ended yet"
    errors = "" if last.errors_served == 0 else f", {format_errors_served(last.errors_served)}"
    at = format_percent(last.peak_weight / 100)
    return f"{view.title}: {last.result} ({last.reason}), peak weight {at}{errors}"
