"""Formats events for any web service: CloudEvents 1.0, signed according to Standard Webhooks.

Sources: cloudevents.io, specification 1.0.2 and its HTTP binding; standardwebhooks.com
(`webhook-id`, `webhook-timestamp`, `webhook-signature`; HMAC-SHA256 over `ID.TIMESTAMP.BODY`).
"""

import base64
import binascii
import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Any

from canary.notify.events import ReleaseEvent
from canary.notify.message import HttpPayload, Message, json_payload, list_links
from canary.text.format import format_exact_timestamp

TYPE = "dev.canary-controller.release"
CONTENT = "application/cloudevents+json; charset=utf-8"
_PREFIX = "whsec_"


def format_webhook(
    message: Message, url: str, key: str | None, now: float
) -> tuple[HttpPayload, ...]:
    """Format one event; `now` is the time of the signature, so a retry gets a new one."""
    event = message.event
    cloud_event = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/canaryreleases/{event.key.namespace}/{event.key.name}",
        "type": f"{TYPE}.{event.kind.value}",
        "subject": f"{event.key.namespace}/{event.key.name}",
        "time": format_exact_timestamp(event.at),
        "datacontenttype": "application/json",
        "data": _event_data(message),
    }
    posts = json_payload(url, cloud_event, CONTENT)
    return (
        posts if key is None else tuple(_sign_payload(post, key, event.id, now) for post in posts)
    )


def sign_content(key: str, identity: str, second: int, body: bytes) -> str:
    """Return the signature `v1,…` that Standard Webhooks libraries verify.

    The key is `whsec_` followed by base64, or any other text, used as is.
    """
    content = f"{identity}.{second}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(_key_bytes(key), content, sha256)).decode()}"


def _key_bytes(key: str) -> bytes:
    if key.startswith(_PREFIX):
        try:
            return base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return key.encode()
    return key.encode()


def _sign_payload(post: HttpPayload, key: str, identity: str, now: float) -> HttpPayload:
    headers = {
        **post.headers,
        "webhook-id": identity,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": sign_content(key, identity, int(now), post.body),
    }
    return replace(post, headers=headers)


def _event_data(message: Message) -> dict[str, Any]:
    event = message.event
    served = event.served
    return {
        "schemaVersion": 1,
        "namespace": event.key.namespace,
        "release": event.key.name,
        "target": event.spec.target.name,
        "phase": event.phase.value,
        "reason": event.reason.value,
        "headline": event.headline,
        "message": event.message,
        "weight": event.weight,
        "version": event.version,
        "stable": event.stable,
        "requests": None if served is None else round(served.total),
        "badRequests": None if served is None else round(served.bad),
        "evidence": [{"metric": name, "message": said} for name, said in event.evidence],
        "pods": list(event.pods),
        "links": [
            {"title": title, "url": link} for title, link in list_links(event, message.links)
        ],
        **_incident_ids(event),
    }


def _incident_ids(event: ReleaseEvent) -> dict[str, Any]:
    return {
        "incident": event.incident.id if event.incident else None,
        "resolved": [incident.id for incident in event.resolved],
    }
