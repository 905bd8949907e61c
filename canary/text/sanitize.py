"""Text of other programs and people, made safe for a terminal, XML, HTML and CI logs."""

import re
import unicodedata
from html import escape
from typing import Final

BIDI_CONTROLS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "·": "-", "×": "x", "…": "...", "∞": "inf", "→": "->"}
    | {"≤": "<=", "≥": ">=", "“": '"', "”": '"', "‘": "'", "’": "'"}
)
_CONTROLS_LINE: Final = str.maketrans(
    dict.fromkeys("\r" + BIDI_CONTROLS, "\N{REPLACEMENT CHARACTER}")
)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def strip_controls(text: str) -> str:
    """Return the text on one line, without characters that control a terminal."""
    shown = (
        "\N{REPLACEMENT CHARACTER}" if _is_control(char) else char for char in _join_lines(text)
    )
    return "".join(shown)


def make_printable(text: str) -> str:
    """Replace what XML 1.0 forbids and what controls a terminal; line breaks and tabs stay."""
    return _UNPRINTABLE.sub(lambda found: _replace_control(found.group()), text)


def sanitize_output(text: str) -> str:
    """Return the text without what controls a terminal; line breaks and tabs stay."""
    return make_printable(text).translate(_CONTROLS_LINE)


def make_one_line(text: str) -> str:
    """Return the text in one printable line that a CI server does not interpret as a command.

    `##[` starts a command for GitHub's runner anywhere in a line, so it is broken up.
    """
    return make_printable(_join_lines(text)).replace("##[", "## [")


def escape_unprintable(text: str) -> str:
    """Return the text with escape sequences in place of unprintable characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_html_text(text: str) -> str:
    """Return the text for HTML, escaped; a number stays on one line with its `%`."""
    return escape(strip_controls(text)).replace(" %", "\u00a0%")


def make_encodable(text: str, encoding: str) -> str:
    """Return the text in characters that `encoding` has; common signs become ASCII."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", text.translate(PLAIN))
        return (
            "".join(char for char in plain if not unicodedata.combining(char))
            .encode(encoding, "replace")
            .decode(encoding)
        )
    return text


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"} or char in BIDI_CONTROLS


def _replace_control(character: str) -> str:
    return character if character in "\t\n\r" else "\N{REPLACEMENT CHARACTER}"
