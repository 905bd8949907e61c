"""What one receiver is sent, before it takes the receiver's own form. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from urllib.parse import quote

from canary.api import Reason
from canary.notify.events import Incident, Kind, News
from canary.runbooks import BASE, runbook_url
from canary.text.format import format_count, split_camel_case

PODS = 5
"""Names of pods that are written out."""
VARIABLES = ("namespace", "release", "target", "service", "canary", "version", "from", "to")
"""What a dashboard's address may name in braces."""
_AROUND = 900.0
"""Seconds before the release's begin that a dashboard shows."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where pages are: addresses of dashboards are templates, see `VARIABLES`."""

    runbooks: str = BASE
    dashboard: str | None = None
    pools: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """News for one receiver: what it is told, and what it is told to be over."""

    news: News
    links: Links
    told: bool
    """Whether these news are for it; else only what is over is."""
    over: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP request. Its address is a secret, and so may be its headers."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What Apprise sends. Its address is a secret."""

    url: str = field(repr=False)
    title: str
    body: str
    tone: str
    """`failure`, `warning`, `success` or `info`."""


def posted(
    url: str, content: object, kind: str = "application/json", **headers: str
) -> tuple[Post, ...]:
    """One request with a JSON body."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return (Post(url, body, {"Content-Type": kind, **headers}),)


def facts(news: News) -> Sequence[tuple[str, str]]:
    """Label and value, the most important first."""
    found = [("Release", f"{news.key.namespace}/{news.key.name}"), ("Reason", news.reason.value)]
    if news.weight or news.kind in {Kind.ROLLBACK, Kind.STUCK, Kind.APPROVAL}:
        found.append(("Share of traffic", f"{news.weight} %"))
    if news.served is not None:
        bad, total = news.served
        found.append(("Bad requests", f"{format_count(bad)} of {format_count(total)}"))
    if news.version:
        found.append(("Version", news.version))
    if news.stable and news.stable != news.version:
        found.append(("Version before", news.stable))
    if news.pods and news.kind in {Kind.ROLLBACK, Kind.STUCK}:
        found.append(("Pods", few(news.pods)))
    return found


def other_evidence(news: News) -> Sequence[tuple[str, str]]:
    """Name and standing of the metrics that the message does not quote already."""
    return [(name, said) for name, said in news.evidence if said and said not in news.message]


def links_of(news: News, links: Links) -> Sequence[tuple[str, str]]:
    """Title and address: the runbook where somebody has to act, and the graphs."""
    found = []
    if news.incident is not None:
        found.append(("Runbook", runbook_url(news.reason, links.runbooks)))
    if links.pools is not None and news.reason.info.about_pool:
        found.append(("Connection pools", _filled(links.pools, news)))
    if links.dashboard is not None:
        found.append(("Dashboard", _filled(links.dashboard, news)))
    return found


def unknown_variables(template: str) -> Sequence[str]:
    """What a dashboard's address names in braces and nobody can fill in.

    Raises ValueError for braces that do not match.
    """
    names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    return [name for name in names if name not in VARIABLES]


def severity(kind: Kind) -> str:
    """As alerts have it: the same whenever an incident is told or resolved."""
    return "critical" if kind is Kind.ROLLBACK else "warning"


def title_of(incident: Incident) -> str:
    """Of an incident that is over: `auth: connection leak is over`."""
    return f"{incident.key.name}: {words(incident.reason)} is over"


def words(reason: Reason) -> str:
    """`ConnectionLeak` as `connection leak`."""
    return split_camel_case(reason).lower()


def clipped(text: str, most: int) -> str:
    """At most so many characters; what is cut off shows."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def few(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - PODS} more" if len(names) > PODS else ""
    return ", ".join(names[:PODS]) + more


def _filled(template: str, news: News) -> str:
    target = news.spec.target.name
    service = news.spec.service.name if news.spec.service is not None else target
    values = {
        "namespace": news.key.namespace,
        "release": news.key.name,
        "target": target,
        "service": service,
        "canary": f"{target}-canary",
        "version": news.version,
        "from": str(round((min(news.began or news.at, news.at) - _AROUND) * 1000)),
        "to": str(round((news.at + _AROUND) * 1000)),
    }
    return template.format_map({name: quote(value, safe="") for name, value in values.items()})
