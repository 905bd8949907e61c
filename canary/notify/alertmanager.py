"""Formats incidents for Alertmanager's API v2, as alerts that last at most a day.

Source: prometheus/alertmanager, api/v2/openapi.yaml (`postAlerts`). An alert that is not sent again
would resolve after `resolve_timeout`, so each alert has an end time from the start.
"""

from typing import Any

from canary.notify.events import EventKind, Incident, ReleaseEvent
from canary.notify.message import (
    HttpPayload,
    Message,
    join_first,
    json_payload,
    list_links,
    resolved_title,
    severity_of,
)
from canary.text.format import format_exact_timestamp

MAX_DURATION = 24 * 3600.0
"""Seconds after which an alert ends if it is not resolved."""
_NAMES = {EventKind.ROLLBACK: "CanaryRolledBack", EventKind.STUCK: "CanaryReleaseStuck"}


def format_alertmanager(message: Message, address: str, now: float) -> tuple[HttpPayload, ...]:
    """Format resolved alerts and the new one; `now` in seconds since the epoch."""
    alerts = [_resolved_alert(incident, now) for incident in message.resolved]
    event = message.event
    if message.include_event and event.incident is not None:
        alerts.append(_firing_alert(message, event, event.incident))
    if not alerts:
        return ()
    return json_payload(f"{address.rstrip('/')}/api/v2/alerts", alerts)


def alert_labels(incident: Incident) -> dict[str, str]:
    """Return the labels that identify an alert; they are the same when it fires and resolves."""
    return {
        "alertname": _NAMES[incident.kind],
        "severity": severity_of(incident.kind),
        "namespace": incident.key.namespace,
        "release": incident.key.name,
        "reason": incident.reason.value,
        "version": incident.template,
    }


def _firing_alert(message: Message, event: ReleaseEvent, incident: Incident) -> dict[str, Any]:
    links = dict(list_links(event, message.links))
    graph = links.get("Connection pools") or links.get("Dashboard")
    notes = {
        "summary": event.headline,
        "description": event.message,
        "runbook_url": links.get("Runbook", ""),
        "dashboard_url": graph or "",
        "pods": join_first(event.pods),
    }
    alert: dict[str, Any] = {
        "labels": alert_labels(incident),
        "annotations": {name: value for name, value in notes.items() if value},
        "startsAt": format_exact_timestamp(event.at),
        "endsAt": format_exact_timestamp(event.at + MAX_DURATION),
    }
    return alert | ({"generatorURL": graph} if graph else {})


def _resolved_alert(incident: Incident, now: float) -> dict[str, Any]:
    return {
        "labels": alert_labels(incident),
        "annotations": {"summary": resolved_title(incident)},
        "endsAt": format_exact_timestamp(now),
    }
