"""Formats incidents for PagerDuty's Events API v2; trigger and resolve use the same key.

Source: developer.pagerduty.com, "Send an alert event" (summary 1,024 characters, dedup_key 255,
the whole event 512 KB).
"""

from typing import Any

from canary.notify.events import Incident, ReleaseEvent
from canary.notify.message import (
    HttpPayload,
    Message,
    json_payload,
    list_facts,
    list_links,
    severity_of,
    truncate_text,
)
from canary.text.format import format_exact_timestamp

MAX_SUMMARY = 1024
ADDRESSES = {
    "us": "https://events.pagerduty.com/v2/enqueue",
    "eu": "https://events.eu.pagerduty.com/v2/enqueue",
}
_DETAIL, _EVIDENCE = 1000, 20


def format_pagerduty(message: Message, address: str, key: str) -> tuple[HttpPayload, ...]:
    """Format resolve events, then the trigger; other events are not sent to PagerDuty."""
    events = [_resolve_event(incident, key) for incident in message.resolved]
    event = message.event
    if message.include_event and event.incident is not None:
        events.append(_trigger_event(message, event.incident, key))
    return tuple(post for event in events for post in json_payload(address, event))


def _trigger_event(message: Message, incident: Incident, key: str) -> dict[str, Any]:
    event = message.event
    links = [{"href": link, "text": title} for title, link in list_links(event, message.links)]
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": incident.id,
        "client": "canary",
        "links": links,
        "payload": {
            "summary": truncate_text(event.headline, MAX_SUMMARY),
            "source": f"{event.key.namespace}/{event.key.name}",
            "severity": severity_of(incident.kind),
            "timestamp": format_exact_timestamp(event.at),
            "component": event.spec.target.name,
            "group": event.key.namespace,
            "class": event.reason.value,
            "custom_details": _custom_details(event),
        },
    }


def _custom_details(event: ReleaseEvent) -> dict[str, Any]:
    evidence = {name: truncate_text(said, _DETAIL) for name, said in event.evidence[:_EVIDENCE]}
    return {
        "message": truncate_text(event.message, _DETAIL),
        **{label: truncate_text(value, _DETAIL) for label, value in list_facts(event)},
        "evidence": evidence,
    }


def _resolve_event(incident: Incident, key: str) -> dict[str, Any]:
    return {"routing_key": key, "event_action": "resolve", "dedup_key": incident.id}
