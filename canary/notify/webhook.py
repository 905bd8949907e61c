"""Any web service: CloudEvents 1.0 in structured mode, signed as Standard Webhooks has it.

Sources: cloudevents.io, specification 1.0.2 and its HTTP binding; standardwebhooks.com
(`webhook-id`, `webhook-timestamp`, `webhook-signature`; HMAC-SHA256 over `ID.TIMESTAMP.BODY`).
"""

import base64
import binascii
import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Any

from canary.notify.events import News
from canary.notify.message import Letter, Post, links_of, posted
from canary.text.format import format_exact_timestamp

TYPE = "dev.canary-controller.release"
CONTENT = "application/cloudevents+json; charset=utf-8"
_PREFIX = "whsec_"


def webhook(letter: Letter, url: str, key: str | None, now: float) -> tuple[Post, ...]:
    """One event; the signature's time is `now`, so a retry is signed anew."""
    news = letter.news
    event = {
        "specversion": "1.0",
        "id": news.id,
        "source": f"/canaryreleases/{news.key.namespace}/{news.key.name}",
        "type": f"{TYPE}.{news.kind.value}",
        "subject": f"{news.key.namespace}/{news.key.name}",
        "time": format_exact_timestamp(news.at),
        "datacontenttype": "application/json",
        "data": _data(letter),
    }
    posts = posted(url, event, CONTENT)
    return posts if key is None else tuple(_signed(post, key, news.id, now) for post in posts)


def signature(key: str, identity: str, second: int, body: bytes) -> str:
    """`v1,…`, as any Standard Webhooks library checks it.

    The key is `whsec_` and base64, or any other text as it is.
    """
    content = f"{identity}.{second}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(_bytes(key), content, sha256)).decode()}"


def _bytes(key: str) -> bytes:
    if key.startswith(_PREFIX):
        try:
            return base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return key.encode()
    return key.encode()


def _signed(post: Post, key: str, identity: str, now: float) -> Post:
    headers = {
        **post.headers,
        "webhook-id": identity,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signature(key, identity, int(now), post.body),
    }
    return replace(post, headers=headers)


def _data(letter: Letter) -> dict[str, Any]:
    news = letter.news
    bad, total = map(round, news.served) if news.served is not None else (None, None)
    return {
        "schemaVersion": 1,
        "namespace": news.key.namespace,
        "release": news.key.name,
        "target": news.spec.target.name,
        "phase": news.phase.value,
        "reason": news.reason.value,
        "headline": news.headline,
        "message": news.message,
        "weight": news.weight,
        "version": news.version,
        "stable": news.stable,
        "requests": total,
        "badRequests": bad,
        "evidence": [{"metric": name, "message": said} for name, said in news.evidence],
        "pods": list(news.pods),
        "links": [{"title": title, "url": link} for title, link in links_of(news, letter.links)],
        **_incidents(news),
    }


def _incidents(news: News) -> dict[str, Any]:
    return {
        "incident": news.incident.id if news.incident else None,
        "resolved": [incident.id for incident in news.resolved],
    }
