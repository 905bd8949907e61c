"""Formats messages for Slack's incoming webhooks, within the limits of Block Kit.

Source: docs.slack.dev, Block Kit reference (header 150 characters, section 3,000, ten fields of
2,000, 50 blocks); text from outside is escaped or put where it is not interpreted.
"""

from typing import Any

from canary.notify.events import EventKind
from canary.notify.message import (
    HttpPayload,
    Message,
    json_payload,
    list_facts,
    list_links,
    list_other_evidence,
    truncate_text,
)

HEADER, SECTION, FIELD, FIELDS, FALLBACK = 150, 3000, 2000, 10, 4000
_SIGNS = {
    EventKind.ROLLBACK: "🛑 ",
    EventKind.STUCK: "⏸️ ",
    EventKind.APPROVAL: "✋ ",
    EventKind.PROMOTION: "✅ ",
}


def format_slack(message: Message, url: str) -> tuple[HttpPayload, ...]:
    """Format one message."""
    event = message.event
    title = f"{_SIGNS.get(event.kind, '')}{event.headline}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain_text(title, HEADER)},
        {"type": "section", "text": _plain_text(_first_section(message, title), SECTION)},
        {
            "type": "section",
            "fields": [_mrkdwn_field(*fact) for fact in list_facts(event)[:FIELDS]],
        },
    ]
    if evidence := list_other_evidence(event):
        said = "\n".join(f"{name}: {words}" for name, words in evidence)
        blocks.append({"type": "section", "text": _plain_text(said, SECTION)})
    if links := list_links(event, message.links):
        linked = "  ·  ".join(f"<{escape_mrkdwn(url)}|{title}>" for title, url in links)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": linked}})
    return json_payload(
        url, {"text": truncate_text(escape_mrkdwn(event.headline), FALLBACK), "blocks": blocks}
    )


def escape_mrkdwn(text: str) -> str:
    """Escape characters that Slack interprets as mentions or links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _first_section(message: Message, title: str) -> str:
    """Return the text below the header, with the headline if that was truncated."""
    return message.event.message if len(title) <= HEADER else f"{title}\n{message.event.message}"


def _plain_text(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": truncate_text(text, most), "emoji": False}


def _mrkdwn_field(label: str, value: str) -> dict[str, str]:
    return {
        "type": "mrkdwn",
        "text": f"*{label}*\n{truncate_text(escape_mrkdwn(value), FIELD // 2)}",
    }
