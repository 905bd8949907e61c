"""Points in time and lengths of time as people type them."""

import re
from datetime import UTC, datetime

import typer

from canary.errors import UsageError

_DAY = 86400.0
_LATEST = 1e11
"""Seconds since the epoch (the year 5138): what is later is in another unit."""
_DAYS = re.compile(r"(?:(\d{1,4})d)?(.*)")
_EXPECTED = "2026-03-01T10:00:00Z, seconds since the epoch, now, or a time ago such as -2h or -7d"


def length(text: str | float) -> float:
    """Seconds of `30s`, `1h30m` or a plain number; for typer: a default is a number already."""
    if isinstance(text, float):
        return text
    try:
        from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps --help quick

        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def moment(text: str, now: float, option: str) -> float:
    """Seconds since the epoch; a time without a zone is UTC. Raises UsageError."""
    if text == "now":
        return now
    try:
        if text.startswith("-"):
            return now - _ago(text[1:])
        if text.replace(".", "", 1).isdigit() and text.isascii():
            return _in_seconds(float(text), option)
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: {_EXPECTED} is expected, found {text!r}") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _in_seconds(value: float, option: str) -> float:
    if value > _LATEST:
        raise UsageError(
            f"{option}: seconds since the epoch are expected, found {value:.0f}: "
            "it looks like milliseconds, so divide it by 1000"
        )
    return value


def _ago(text: str) -> float:
    from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps --help quick

    match = _DAYS.fullmatch(text)
    if match is None or not text:
        raise ValueError(text)
    days, rest = match.groups()
    return int(days or 0) * _DAY + (parse_duration(rest) if rest else 0.0)
