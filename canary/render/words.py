"""Numbers and other people's text as people read them, on a terminal and in HTML."""

import math
import re
import unicodedata
from datetime import UTC, datetime
from html import escape

UNKNOWN = "–"
POOL_LIMIT = 0.75
"""Share of a pool in use (0–1) above which it is close to empty: the line in every picture."""

MINUTE = 60
HOUR = 3600
MANY = 100_000
FEW = 10
LEAST = 0.0001
"""Percent; less than this is said to be less, and not nothing."""
BIDI_CONTROLS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "·": "-", "×": "x", "…": "...", "∞": "inf", "→": "->"}
    | {"≤": "<=", "≥": ">=", "“": '"', "”": '"', "‘": "'", "’": "'"}
)


def percent(ratio: float | None) -> str:
    """A ratio (0–1) as percent with two digits that count; never rounded to 0 % or to 100 %.

    >>> percent(0.00123), percent(0.9996), percent(0.25)
    ('0.12 %', '99.96 %', '25 %')
    """
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    value = ratio * 100
    if 0 < value < LEAST:
        return f"< {LEAST} %"
    if 0 < 100 - value < LEAST:
        return f"> {100 - LEAST} %"
    nearest = min(abs(value), abs(100 - value))
    if nearest == 0 or nearest >= FEW:
        return f"{value:.0f} %"
    digits = min(4, max(1 - math.floor(math.log10(nearest)), 0))
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def count(number: float) -> str:
    """A number of things: `6,000`."""
    return f"{number:,.0f}" if math.isfinite(number) else UNKNOWN


def errors_served(number: float | None) -> str:
    """Failed requests that the canary answered: `56 errors served`, or that nobody knows."""
    return "errors served: unknown" if number is None else f"{count(number)} errors served"


def amount(value: float) -> str:
    """A measured number in few characters: `0.75`, `2.1`, `340`, `2e+06`."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= MANY:
        return f"{value:.0e}"
    if abs(value) >= FEW:
        return f"{value:,.0f}"
    return f"{value:.2f}" if 0 < abs(value) < 1 else f"{value:.1f}".removesuffix(".0")


def clock(seconds: float) -> str:
    """Seconds as on a stop-watch: `1:07`, `1:02:03`, `-0:05` before the start."""
    sign = "-" if seconds <= -1 else ""
    whole = int(abs(seconds))
    hours, minutes, rest = whole // HOUR, whole // MINUTE % MINUTE, whole % MINUTE
    return f"{sign}{hours}:{minutes:02}:{rest:02}" if hours else f"{sign}{minutes}:{rest:02}"


def duration(seconds: float | None) -> str:
    """Seconds in words: `8 s`, `1 min 7 s`, `2 h 5 min`; never longer than two units."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _two(whole // MINUTE, "min", whole % MINUTE, "s")
    return _two(whole // HOUR, "h", whole % HOUR // MINUTE, "min")


def stamp(seconds: float) -> str:
    """A time for programs, of seconds since the epoch: `2026-03-01T10:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def spaced(name: str) -> str:
    """A CamelCase constant as words: `RolledBack` becomes `Rolled back`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", clean(name))
    return words[:1] + words[1:].lower()


def clean(text: str) -> str:
    """`text` on one line, without anything that could steer a terminal or cannot be written."""
    shown = ("�" if _steers(char) else char for char in " ".join(text.split()))
    return "".join(shown)


def html_text(text: str) -> str:
    """`text` for HTML, escaped; a number stays on one line with its `%`."""
    return escape(clean(text)).replace(" %", "\u00a0%")


def _steers(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"} or char in BIDI_CONTROLS


def encodable(text: str, encoding: str) -> str:
    """`text` in characters that `encoding` has; the usual signs become their ASCII likeness."""
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
