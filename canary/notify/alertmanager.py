"""Alertmanager's API v2: an alert that fires until it is over, at most a day.

Source: prometheus/alertmanager, api/v2/openapi.yaml (`postAlerts`). What is sent once and not again
would be called resolved after `resolve_timeout`, so the end is said from the start.
"""

from typing import Any

from canary.notify.events import Incident, Kind, News
from canary.notify.message import Letter, Post, few, links_of, posted, severity, title_of
from canary.text.format import format_exact_timestamp

LASTS = 24 * 3600.0
"""Seconds after which an alert that nobody resolved ends by itself."""
_NAMES = {Kind.ROLLBACK: "CanaryRolledBack", Kind.STUCK: "CanaryReleaseStuck"}


def alertmanager(letter: Letter, address: str, now: float) -> tuple[Post, ...]:
    """Alerts that end now and the one that begins; `now` in seconds since the epoch."""
    alerts = [_ended(incident, now) for incident in letter.over]
    news = letter.news
    if letter.told and news.incident is not None:
        alerts.append(_begun(letter, news, news.incident))
    if not alerts:
        return ()
    return posted(f"{address.rstrip('/')}/api/v2/alerts", alerts)


def labels(incident: Incident) -> dict[str, str]:
    """What names an alert: they are the same when it begins and when it ends."""
    return {
        "alertname": _NAMES[incident.kind],
        "severity": severity(incident.kind),
        "namespace": incident.key.namespace,
        "release": incident.key.name,
        "reason": incident.reason.value,
        "version": incident.template,
    }


def _begun(letter: Letter, news: News, incident: Incident) -> dict[str, Any]:
    links = dict(links_of(news, letter.links))
    graph = links.get("Connection pools") or links.get("Dashboard")
    notes = {
        "summary": news.headline,
        "description": news.message,
        "runbook_url": links.get("Runbook", ""),
        "dashboard_url": graph or "",
        "pods": few(news.pods),
    }
    alert: dict[str, Any] = {
        "labels": labels(incident),
        "annotations": {name: value for name, value in notes.items() if value},
        "startsAt": format_exact_timestamp(news.at),
        "endsAt": format_exact_timestamp(news.at + LASTS),
    }
    return alert | ({"generatorURL": graph} if graph else {})


def _ended(incident: Incident, now: float) -> dict[str, Any]:
    return {
        "labels": labels(incident),
        "annotations": {"summary": title_of(incident)},
        "endsAt": format_exact_timestamp(now),
    }
