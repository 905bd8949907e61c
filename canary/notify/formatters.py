"""Selects and formats the message for each kind of receiver. Pure."""

from collections.abc import Sequence

from canary.api.notify import Alertmanager, Hook, Notify, PagerDuty
from canary.errors import PermanentError
from canary.notify.alertmanager import format_alertmanager
from canary.notify.events import EventKind, ReleaseEvent, is_subscribed
from canary.notify.message import (
    ApprisePayload,
    HttpPayload,
    Links,
    Message,
    list_facts,
    list_links,
    list_other_evidence,
)
from canary.notify.pagerduty import ADDRESSES, format_pagerduty
from canary.notify.slack import format_slack
from canary.notify.teams import format_teams
from canary.notify.webhook import format_webhook

Payload = HttpPayload | ApprisePayload
INCIDENT_RECEIVERS = frozenset({"pagerduty", "alertmanager"})
"""Kinds of receivers that get only incidents and their end."""
_TONES = {
    EventKind.ROLLBACK: "failure",
    EventKind.STUCK: "warning",
    EventKind.APPROVAL: "warning",
    EventKind.PROMOTION: "success",
}


def select_message(
    entry: Notify, event: ReleaseEvent, links: Links, *, fresh: bool
) -> Message | None:
    """Return this receiver's message, or None. Events that are not `fresh` were sent before."""
    keeps = entry.kind in INCIDENT_RECEIVERS
    sendable = fresh and (event.incident is not None or not keeps)
    include = sendable and is_subscribed(entry, event.kind, event.reason)
    resolved = tuple(
        incident
        for incident in event.resolved
        if keeps and is_subscribed(entry, incident.kind, incident.reason)
    )
    return Message(event, links, include, resolved) if include or resolved else None


def format_message(message: Message, entry: Notify, secret: str, now: float) -> Sequence[Payload]:
    """Return the payloads in the order of sending; `now` in seconds since the epoch.

    `secret` is the text of the entry's Secret, empty without one. Raises PermanentError if it
    should be an address and is not.
    """
    match entry.receiver:
        case PagerDuty(region=region):
            return format_pagerduty(message, ADDRESSES[region], secret)
        case Alertmanager(url=url):
            return format_alertmanager(message, url or _secret_address(secret), now)
        case Hook(url=url):
            return format_webhook(message, url, secret or None, now)
        case _ if entry.slack is not None:
            return format_slack(message, _secret_address(secret))
        case _ if entry.teams is not None:
            return format_teams(message, _secret_address(secret))
        case _:
            return format_apprise(message, secret)


def format_apprise(message: Message, url: str) -> tuple[ApprisePayload, ...]:
    """Format plain text for Apprise."""
    event = message.event
    lines = [event.message, ""]
    lines += [f"{label}: {value}" for label, value in list_facts(event)]
    lines += [f"{name}: {said}" for name, said in list_other_evidence(event)]
    lines += [f"{title}: {link}" for title, link in list_links(event, message.links)]
    return (ApprisePayload(url, event.headline, "\n".join(lines), _TONES.get(event.kind, "info")),)


def _secret_address(secret: str) -> str:
    """Return the address from a Secret; errors do not repeat it."""
    scheme, _, rest = secret.partition("://")
    if scheme not in {"http", "https"} or not rest or any(char.isspace() for char in secret):
        raise PermanentError("expected an address that starts with https:// in the Secret")
    return secret
