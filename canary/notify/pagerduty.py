"""PagerDuty's Events API v2: an incident is triggered, and resolved by the same key.

Source: developer.pagerduty.com, "Send an alert event" (summary 1,024 characters, dedup_key 255,
the whole event 512 KB).
"""

from typing import Any

from canary.notify.events import Incident, News
from canary.notify.message import Letter, Post, clipped, facts, links_of, posted, severity
from canary.text.format import format_exact_timestamp

SUMMARY = 1024
ADDRESSES = {
    "us": "https://events.pagerduty.com/v2/enqueue",
    "eu": "https://events.eu.pagerduty.com/v2/enqueue",
}
_DETAIL, _EVIDENCE = 1000, 20


def pagerduty(letter: Letter, address: str, key: str) -> tuple[Post, ...]:
    """First what is over, then what is new; news that are no incident are not for a pager."""
    events = [_resolve(incident, key) for incident in letter.over]
    news = letter.news
    if letter.told and news.incident is not None:
        events.append(_trigger(letter, news.incident, key))
    return tuple(post for event in events for post in posted(address, event))


def _trigger(letter: Letter, incident: Incident, key: str) -> dict[str, Any]:
    news = letter.news
    links = [{"href": link, "text": title} for title, link in links_of(news, letter.links)]
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": incident.id,
        "client": "canary",
        "links": links,
        "payload": {
            "summary": clipped(news.headline, SUMMARY),
            "source": f"{news.key.namespace}/{news.key.name}",
            "severity": severity(incident.kind),
            "timestamp": format_exact_timestamp(news.at),
            "component": news.spec.target.name,
            "group": news.key.namespace,
            "class": news.reason.value,
            "custom_details": _details(news),
        },
    }


def _details(news: News) -> dict[str, Any]:
    evidence = {name: clipped(said, _DETAIL) for name, said in news.evidence[:_EVIDENCE]}
    return {
        "message": clipped(news.message, _DETAIL),
        **{label: clipped(value, _DETAIL) for label, value in facts(news)},
        "evidence": evidence,
    }


def _resolve(incident: Incident, key: str) -> dict[str, Any]:
    return {"routing_key": key, "event_action": "resolve", "dedup_key": incident.id}
