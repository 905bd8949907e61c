"""Formats messages for a Workflows webhook of Microsoft Teams: one Adaptive Card below 28 KB.

Source: learn.microsoft.com, "Create incoming webhooks with Workflows" and the Adaptive Cards 1.4
schema. Text from outside is put into text runs, where Markdown is not interpreted.
"""

from typing import Any

from canary.notify.events import EventKind, ReleaseEvent
from canary.notify.message import (
    HttpPayload,
    Message,
    json_payload,
    list_facts,
    list_links,
    list_other_evidence,
    truncate_text,
)

MAX_BYTES = 28 * 1024
"""Maximum size of a message in bytes; a character may take three."""
_TEXT, _FACT, _EVIDENCE = 1000, 300, 8
_COLORS = {
    EventKind.ROLLBACK: "attention",
    EventKind.STUCK: "warning",
    EventKind.APPROVAL: "accent",
    EventKind.PROMOTION: "good",
}


def format_teams(message: Message, url: str) -> tuple[HttpPayload, ...]:
    """Format one card."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": _card_body(message.event),
        "actions": [
            {"type": "Action.OpenUrl", "title": title, "url": link}
            for title, link in list_links(message.event, message.links)
        ],
    }
    content = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": content, "contentUrl": None, "content": card}
    return json_payload(url, {"type": "message", "attachments": [attachment]})


def _card_body(event: ReleaseEvent) -> list[dict[str, Any]]:
    color = _COLORS.get(event.kind, "default")
    found = [
        _text_block(event.headline, size="large", weight="bolder", color=color),
        _text_block(event.message),
    ]
    rows = [
        {"title": label, "value": truncate_text(value, _FACT)} for label, value in list_facts(event)
    ]
    found.append({"type": "FactSet", "facts": rows})
    evidence = list_other_evidence(event)[:_EVIDENCE]
    found += [_text_block(f"{name}: {truncate_text(said, _FACT)}") for name, said in evidence]
    return found


def _text_block(text: str, **style: str) -> dict[str, Any]:
    run = {"type": "TextRun", "text": truncate_text(text, _TEXT), **style}
    return {"type": "RichTextBlock", "inlines": [run]}
