"""A message for one receiver, before it is formatted for its kind. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from urllib.parse import quote

from canary.api import Reason
from canary.notify.events import EventKind, Incident, ReleaseEvent
from canary.runbooks import BASE, runbook_url
from canary.text.format import format_count, split_camel_case

MAX_PODS = 5
"""Maximum number of pod names in a message."""
VARIABLES = ("namespace", "release", "target", "service", "canary", "version", "from", "to")
"""Variables that a dashboard's address may contain in braces."""
_AROUND = 900.0
"""Seconds before the start of the release that a dashboard shows."""


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of pages; those of dashboards are templates, see `VARIABLES`."""

    runbooks: str = BASE
    dashboard: str | None = None
    pools: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What one receiver is sent: an event, resolved incidents, or both."""

    event: ReleaseEvent
    links: Links
    include_event: bool
    """Whether the event itself is sent; otherwise only the resolved incidents are."""
    resolved: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpPayload:
    """One HTTP request. Its address is secret, and its headers may be."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ApprisePayload:
    """One message of Apprise. Its address is secret."""

    url: str = field(repr=False)
    title: str
    body: str
    tone: str
    """`failure`, `warning`, `success` or `info`."""


def json_payload(
    url: str, content: object, kind: str = "application/json", **headers: str
) -> tuple[HttpPayload, ...]:
    """Return one request with a JSON body."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return (HttpPayload(url, body, {"Content-Type": kind, **headers}),)


def list_facts(event: ReleaseEvent) -> Sequence[tuple[str, str]]:
    """Return labels and values, the most important first."""
    found = [("Release", f"{event.key.namespace}/{event.key.name}"), ("Reason", event.reason.value)]
    if event.weight or event.kind in {EventKind.ROLLBACK, EventKind.STUCK, EventKind.APPROVAL}:
        found.append(("Share of traffic", f"{event.weight} %"))
    if event.served is not None:
        bad, total = format_count(event.served.bad), format_count(event.served.total)
        found.append(("Bad requests", f"{bad} of {total}"))
    if event.version:
        found.append(("Version", event.version))
    if event.stable and event.stable != event.version:
        found.append(("Version before", event.stable))
    if event.pods and event.kind in {EventKind.ROLLBACK, EventKind.STUCK}:
        found.append(("Pods", join_first(event.pods)))
    return found


def list_other_evidence(event: ReleaseEvent) -> Sequence[tuple[str, str]]:
    """Return name and state of the metrics that the message does not quote."""
    return [(name, said) for name, said in event.evidence if said and said not in event.message]


def list_links(event: ReleaseEvent, links: Links) -> Sequence[tuple[str, str]]:
    """Return titles and addresses: the runbook of an incident, and dashboards."""
    found = []
    if event.incident is not None:
        found.append(("Runbook", runbook_url(event.reason, links.runbooks)))
    if links.pools is not None and event.reason.info.about_pool:
        found.append(("Connection pools", _fill_template(links.pools, event)))
    if links.dashboard is not None:
        found.append(("Dashboard", _fill_template(links.dashboard, event)))
    return found


def unknown_variables(template: str) -> Sequence[str]:
    """Return the unknown variables of a dashboard's address.

    Raises ValueError for unbalanced braces.
    """
    names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    return [name for name in names if name not in VARIABLES]


def severity_of(kind: EventKind) -> str:
    """Return the severity of an incident, which does not change until it is resolved."""
    return "critical" if kind is EventKind.ROLLBACK else "warning"


def resolved_title(incident: Incident) -> str:
    """Return the title of a resolved incident: `auth: connection leak is over`."""
    return f"{incident.key.name}: {reason_words(incident.reason)} is over"


def reason_words(reason: Reason) -> str:
    """Return `ConnectionLeak` as `connection leak`."""
    return split_camel_case(reason).lower()


def truncate_text(text: str, most: int) -> str:
    """Return at most `most` characters; an ellipsis marks a cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def join_first(names: Sequence[str]) -> str:
    """Join the first names, and the number of the others."""
    more = f" and {len(names) - MAX_PODS} more" if len(names) > MAX_PODS else ""
    return ", ".join(names[:MAX_PODS]) + more


def _fill_template(template: str, event: ReleaseEvent) -> str:
    target = event.spec.target.name
    service = event.spec.service.name if event.spec.service is not None else target
    values = {
        "namespace": event.key.namespace,
        "release": event.key.name,
        "target": target,
        "service": service,
        "canary": f"{target}-canary",
        "version": event.version,
        "from": str(round((min(event.began or event.at, event.at) - _AROUND) * 1000)),
        "to": str(round((event.at + _AROUND) * 1000)),
    }
    return template.format_map({name: quote(value, safe="") for name, value in values.items()})
