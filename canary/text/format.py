"""Numbers and times as people read them, on a terminal, in messages and in HTML."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from canary.text.sanitize import strip_controls

UNKNOWN = "–"
MINUTE = 60
HOUR = 3600
DAY = 86_400
MANY = 100_000
FEW = 10
LEAST = 0.0001
"""In percent. A smaller ratio is printed as `< 0.0001 %`, so that it does not look like 0."""
_AGES = (
    (120, 1, "s", 0, ""),
    (600, 60, "m", 1, "s"),
    (180 * 60, 60, "m", 0, ""),
    (8 * HOUR, HOUR, "h", 60, "m"),
    (48 * HOUR, HOUR, "h", 0, ""),
    (8 * DAY, DAY, "d", HOUR, "h"),
    (math.inf, DAY, "d", 0, ""),
)
"""Per range of ages: upper bound, seconds per unit, unit; then the same of the remainder."""


def format_percent(ratio: float | None) -> str:
    """Format a ratio (0–1) as percent with two significant digits; never rounded to 0 % or 100 %.

    >>> format_percent(0.00123), format_percent(0.9996), format_percent(0.25)
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


def format_count(number: float) -> str:
    """Format a number of things: `6,000`."""
    return f"{number:,.0f}" if math.isfinite(number) else UNKNOWN


def format_errors_served(number: float | None) -> str:
    """Format the canary's failed requests: `56 errors served`, or that they were not counted."""
    return "errors served: unknown" if number is None else f"{format_count(number)} errors served"


def format_amount(value: float) -> str:
    """Format a measured number in few characters: `0.75`, `2.1`, `340`, `2e+06`."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= MANY:
        return f"{value:.0e}"
    if abs(value) >= FEW:
        return f"{value:,.0f}"
    return f"{value:.2f}" if 0 < abs(value) < 1 else f"{value:.1f}".removesuffix(".0")


def format_request_rate(rate: float) -> str:
    """Format requests per second: `12 requests/s`, `0.3 requests/s`."""
    return f"{rate:,.0f} requests/s" if rate >= FEW else f"{rate:.2g} requests/s"


def format_stopwatch(seconds: float) -> str:
    """Format seconds since a start: `1:07`, `1:02:03`, `-0:05` before the start."""
    sign = "-" if seconds <= -1 else ""
    whole = int(abs(seconds))
    hours, minutes, rest = whole // HOUR, whole // MINUTE % MINUTE, whole % MINUTE
    return f"{sign}{hours}:{minutes:02}:{rest:02}" if hours else f"{sign}{minutes}:{rest:02}"


def human_duration(seconds: float | None) -> str:
    """Format seconds as a length of time, in at most two units: `8 s`, `1 min 7 s`, `2 h 5 min`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _format_two_units(whole // MINUTE, "min", whole % MINUTE, "s")
    if whole < 2 * DAY:
        return _format_two_units(whole // HOUR, "h", whole % HOUR // MINUTE, "min")
    return _format_two_units(whole // DAY, "days", whole % DAY // HOUR, "h")


def rough_duration(seconds: float) -> str:
    """Format an estimated length of time, mostly in one unit: `45 s`, `26 min`, `3 h 20 min`."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return human_duration(round(seconds / MINUTE) * MINUTE)


def format_latency(seconds: float) -> str:
    """Format a response time with three significant digits: `0.83 ms`, `12.4 ms`, `1.25 s`."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def format_age(seconds: float) -> str:
    """Format an age as kubectl does: `47s`, `3m12s`, `90m`, `5h4m`, `3d2h`, `12d`."""
    whole = max(int(seconds), 0)
    _, unit, name, rest, rest_name = next(one for one in _AGES if whole < one[0])
    left = whole % unit // rest if rest else 0
    return f"{whole // unit}{name}{f'{left}{rest_name}' if left else ''}"


def format_timestamp(at: float) -> str:
    """Format seconds since the epoch for programs (RFC 3339): `2026-03-01T10:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_exact_timestamp(at: float) -> str:
    """Format seconds since the epoch for programs: `2026-03-01T10:00:00.250Z`."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def format_date_time(at: float) -> str:
    """Format seconds since the epoch for people: `2026-03-01 10:00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_short_time(at: float) -> str:
    """Format seconds since the epoch for tables of the last weeks: `03-01 10:00Z`."""
    return f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}Z"


def format_time_of_day(at: float) -> str:
    """Format seconds since the epoch as a time of today: `10:00:00Z`."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}Z"


def split_camel_case(name: str) -> str:
    """Format a CamelCase constant as words: `RolledBack` becomes `Rolled back`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", strip_controls(name))
    return words[:1] + words[1:].lower()


def join_names(names: Iterable[str]) -> str:
    """Join names as in a sentence: `a, b and c`; `none` for no name."""
    *rest, last = list(names) or ["none"]
    return f"{', '.join(rest)} and {last}" if rest else last


def _format_two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
