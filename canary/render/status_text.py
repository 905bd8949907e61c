"""The same release for machines and for logs: one document, one line per change."""

from typing import Any

from canary.api import MetricStatus, Status
from canary.core.next_step import describe_next_step
from canary.render.allowed_commands import possible
from canary.render.release_view import Sight, exit_code, judged, least_left, troubles
from canary.text.format import amount, errors_served, percent
from canary.text.sanitize import clean

SCHEMA = 1
"""`schemaVersion` of the document: fields are added, never changed or taken away within one."""


def line(sight: Sight) -> str:
    """One change on one line, always in the same order: `prod/auth phase=… weight=10% … | why`."""
    status = sight.status
    fields = [
        sight.title,
        f"phase={status.phase}",
        f"step={_step(sight)}",
        f"weight={status.weight}%",
        f"reason={status.reason}",
        f"verdict={status.verdict or '-'}",
        f"evidence={','.join(map(_evidence, judged(status))) or '-'}",
    ]
    return f"{' '.join(fields)} | {clean(status.message)}"


def telling(status: Status) -> tuple[object, ...]:
    """What makes a new line worth while: figures that only grow do not."""
    verdicts = tuple((one.name, one.verdict) for one in judged(status))
    return status.phase, status.step, status.weight, status.reason, status.verdict, verdicts


def _step(sight: Sight) -> str:
    return f"{sight.status.step + 1}/{len(sight.spec.steps)}" if sight.under_way else "-"


def _evidence(one: MetricStatus) -> str:
    return f"{one.name}:{amount(one.evidence)}/{amount(one.threshold)}:{one.verdict}".replace(
        ",", ""
    )


def document(sight: Sight) -> dict[str, Any]:
    """The status as one JSON document."""
    status = sight.status
    return {
        "schemaVersion": SCHEMA,
        "namespace": sight.namespace,
        "name": sight.name,
        "phase": status.phase,
        "reason": status.reason,
        "message": status.message,
        "underWay": sight.under_way,
        "step": status.step + 1 if sight.under_way else None,
        "steps": len(sight.spec.steps),
        "weight": status.weight,
        "verdict": status.verdict if sight.under_way else None,
        "next": describe_next_step(sight.spec, status, sight.now),
        "leastSecondsLeft": least_left(sight),
        "requests": [verb.value for verb in possible(sight.spec, status)],
        "metrics": [metric(one) for one in judged(status)],
        "troubles": [{"type": one.type, "message": one.message} for one in troubles(status)],
        "exitCode": int(exit_code(status)),
    }


def metric(one: MetricStatus) -> dict[str, Any]:
    """One metric's figures."""
    return {
        "name": one.name,
        "verdict": one.verdict,
        "reason": one.reason,
        **one.figures,
        "message": one.message,
    }


def ended(sight: Sight) -> str:
    """How the last release ended, in one sentence."""
    last = sight.last
    if last is None:
        return f"{sight.title}: no release has ended yet"
    errors = "" if last.errors_served == 0 else f", {errors_served(last.errors_served)}"
    at = percent(last.peak_weight / 100)
    return f"{sight.title}: {last.result} ({last.reason}), peak weight {at}{errors}"
