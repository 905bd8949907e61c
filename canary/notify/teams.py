"""Microsoft Teams by a Workflows webhook: one Adaptive Card, below 28 KB.

Source: learn.microsoft.com, "Create incoming webhooks with Workflows" and the Adaptive Cards 1.4
schema. Foreign text stands in text runs, where Markdown is not interpreted.
"""

from typing import Any

from canary.notify.events import Kind, News
from canary.notify.message import Letter, Post, clipped, facts, links_of, other_evidence, posted

LARGEST = 28 * 1024
"""Bytes of a message; a character may be three of them."""
_TEXT, _FACT, _EVIDENCE = 1000, 300, 8
_COLOURS = {
    Kind.ROLLBACK: "attention",
    Kind.STUCK: "warning",
    Kind.APPROVAL: "accent",
    Kind.PROMOTION: "good",
}


def teams(letter: Letter, url: str) -> tuple[Post, ...]:
    """One card."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": _body(letter.news),
        "actions": [
            {"type": "Action.OpenUrl", "title": title, "url": link}
            for title, link in links_of(letter.news, letter.links)
        ],
    }
    content = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": content, "contentUrl": None, "content": card}
    return posted(url, {"type": "message", "attachments": [attachment]})


def _body(news: News) -> list[dict[str, Any]]:
    colour = _COLOURS.get(news.kind, "default")
    found = [_run(news.headline, size="large", weight="bolder", color=colour), _run(news.message)]
    rows = [{"title": label, "value": clipped(value, _FACT)} for label, value in facts(news)]
    found.append({"type": "FactSet", "facts": rows})
    evidence = other_evidence(news)[:_EVIDENCE]
    found += [_run(f"{name}: {clipped(said, _FACT)}") for name, said in evidence]
    return found


def _run(text: str, **style: str) -> dict[str, Any]:
    run = {"type": "TextRun", "text": clipped(text, _TEXT), **style}
    return {"type": "RichTextBlock", "inlines": [run]}
