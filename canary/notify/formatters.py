"""Which receiver gets what, and in which form. Pure."""

from collections.abc import Sequence

from canary.api.notify import Alertmanager, Hook, Notify, PagerDuty
from canary.errors import PermanentError
from canary.notify.alertmanager import alertmanager
from canary.notify.events import Kind, News, wanted
from canary.notify.message import Dispatch, Letter, Links, Post, facts, links_of, other_evidence
from canary.notify.pagerduty import ADDRESSES, pagerduty
from canary.notify.slack import slack
from canary.notify.teams import teams
from canary.notify.webhook import webhook

Parcel = Post | Dispatch
KEEP_INCIDENTS = frozenset({"pagerduty", "alertmanager"})
"""Kinds of receivers that are told of incidents only, and of their end."""
_TONES = {
    Kind.ROLLBACK: "failure",
    Kind.STUCK: "warning",
    Kind.APPROVAL: "warning",
    Kind.PROMOTION: "success",
}


def letter_for(entry: Notify, news: News, links: Links, *, fresh: bool) -> Letter | None:
    """What this receiver is sent; None: nothing. News that are not `fresh` were told before."""
    keeps = entry.kind in KEEP_INCIDENTS
    told = wanted(entry, news.kind, news.reason) and (news.incident is not None or not keeps)
    over = tuple(
        incident
        for incident in news.resolved
        if keeps and wanted(entry, incident.kind, incident.reason)
    )
    told = told and fresh
    return Letter(news, links, told, over) if told or over else None


def formed(letter: Letter, entry: Notify, secret: str, now: float) -> Sequence[Parcel]:
    """What is sent, in order; `now` in seconds since the epoch.

    `secret` is the text of the entry's Secret, empty where it has none. Raises PermanentError
    where that should be an address and is none.
    """
    match entry.receiver:
        case PagerDuty(region=region):
            return pagerduty(letter, ADDRESSES[region], secret)
        case Alertmanager(url=url):
            return alertmanager(letter, url or _address(secret), now)
        case Hook(url=url):
            return webhook(letter, url, secret or None, now)
        case _ if entry.slack is not None:
            return slack(letter, _address(secret))
        case _ if entry.teams is not None:
            return teams(letter, _address(secret))
        case _:
            return apprise(letter, secret)


def apprise(letter: Letter, url: str) -> tuple[Dispatch, ...]:
    """Plain text, for whatever Apprise makes of it."""
    news = letter.news
    lines = [news.message, ""]
    lines += [f"{label}: {value}" for label, value in facts(news)]
    lines += [f"{name}: {said}" for name, said in other_evidence(news)]
    lines += [f"{title}: {link}" for title, link in links_of(news, letter.links)]
    return (Dispatch(url, news.headline, "\n".join(lines), _TONES.get(news.kind, "info")),)


def _address(secret: str) -> str:
    """An address out of a Secret; the message does not repeat it."""
    scheme, _, rest = secret.partition("://")
    if scheme not in {"http", "https"} or not rest or any(char.isspace() for char in secret):
        raise PermanentError("its Secret should hold an address that starts with https://")
    return secret
