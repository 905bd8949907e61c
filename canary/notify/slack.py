"""Slack's incoming webhooks: Block Kit, within its limits.

Source: docs.slack.dev, Block Kit reference (header 150 characters, section 3,000, ten fields of
2,000, 50 blocks); foreign text goes where nothing is interpreted, or is escaped.
"""

from typing import Any

from canary.notify.events import Kind
from canary.notify.message import Letter, Post, clipped, facts, links_of, other_evidence, posted

HEADER, SECTION, FIELD, FIELDS, FALLBACK = 150, 3000, 2000, 10, 4000
_SIGNS = {
    Kind.ROLLBACK: "🛑 ",
    Kind.STUCK: "⏸️ ",
    Kind.APPROVAL: "✋ ",
    Kind.PROMOTION: "✅ ",
}


def slack(letter: Letter, url: str) -> tuple[Post, ...]:
    """One message."""
    news = letter.news
    title = f"{_SIGNS.get(news.kind, '')}{news.headline}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(title, HEADER)},
        {"type": "section", "text": _plain(_first(letter, title), SECTION)},
        {"type": "section", "fields": [_field(*fact) for fact in facts(news)[:FIELDS]]},
    ]
    if evidence := other_evidence(news):
        said = "\n".join(f"{name}: {words}" for name, words in evidence)
        blocks.append({"type": "section", "text": _plain(said, SECTION)})
    if links := links_of(news, letter.links):
        linked = "  ·  ".join(f"<{escaped(url)}|{title}>" for title, url in links)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": linked}})
    return posted(url, {"text": clipped(escaped(news.headline), FALLBACK), "blocks": blocks})


def escaped(text: str) -> str:
    """What Slack would take for a mention or a link is text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _first(letter: Letter, title: str) -> str:
    """The sentence below the header, with the headline where it did not fit above."""
    return letter.news.message if len(title) <= HEADER else f"{title}\n{letter.news.message}"


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": clipped(text, most), "emoji": False}


def _field(label: str, value: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{label}*\n{clipped(escaped(value), FIELD // 2)}"}
