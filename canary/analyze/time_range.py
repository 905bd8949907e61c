"""Parses times and ranges as people type them: `2026-03-01T10:00:00Z`, `now`, `-2h`, `-7d`."""

import re
from datetime import UTC, datetime

from canary.api.fields import parse_duration
from canary.errors import UsageError

_DAY = 86400.0
_MAX_TIME = 1e11
"""Seconds since the epoch (the year 5138). A larger number is in another unit."""
_DAYS = re.compile(r"(?:(\d{1,4})d)?(.*)")
_EXPECTED = "2026-03-01T10:00:00Z, seconds since the epoch, now, or a time ago such as -2h or -7d"


def parse_range(from_: str, to: str, started: float) -> tuple[float, float]:
    """Parse a time range in the past.

    Raises UsageError if a time is invalid or the range is empty.
    """
    start, end = parse_time(from_, started, "--from"), parse_time(to, started, "--to")
    if end > started + 1:
        raise UsageError(f"--to: expected a time in the past, found {to!r}")
    if start >= end:
        raise UsageError(f"expected --from before --to, found --from {from_} --to {to}")
    return start, end


def parse_time(text: str, now: float, option: str) -> float:
    """Return seconds since the epoch; a time without a zone is UTC. Raises UsageError."""
    if text == "now":
        return now
    try:
        if text.startswith("-"):
            return now - _parse_ago(text[1:])
        if text.replace(".", "", 1).isdigit() and text.isascii():
            return _check_seconds(float(text), option)
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: expected {_EXPECTED}, found {text[:200]!r}") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _check_seconds(value: float, option: str) -> float:
    if value > _MAX_TIME:
        raise UsageError(
            f"{option}: expected seconds since the epoch, found {value:.0f}: "
            "it looks like milliseconds, so divide it by 1000"
        )
    return value


def _parse_ago(text: str) -> float:
    match = _DAYS.fullmatch(text)
    if match is None or not text:
        raise ValueError(text)
    days, rest = match.groups()
    return int(days or 0) * _DAY + (parse_duration(rest) if rest else 0.0)
