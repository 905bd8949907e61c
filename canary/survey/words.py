"""Numbers and names as people and YAML read them. Pure."""

import json
import re
from collections.abc import Iterable

from canary.api import format_duration

_PLAIN = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*")
_TAKEN = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def scalar(value: str) -> str:
    """A text as YAML, quoted where it would be read as something else."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _TAKEN
    return value if plain else json.dumps(value, ensure_ascii=False)


def about(seconds: float) -> str:
    """A length of time for people: `45 s`, `26 min`, `3 h 20 min`, `4 days`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / _DAY:.0f} days"


def exact(seconds: float) -> str:
    """As a spec has it: `2m`, `1h30m`."""
    return format_duration(seconds)


def percent(share: float) -> str:
    """A share (0–1) as percent, with two digits that matter: `0.5 %`."""
    return f"{share * 100:.2g} %"


def per_second(rate: float) -> str:
    """`12 requests/s`, `0.3 requests/s`."""
    return f"{rate:,.0f} requests/s" if rate >= 10 else f"{rate:.2g} requests/s"  # noqa: PLR2004


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *rest, last = list(names) or ["none"]
    return f"{', '.join(rest)} and {last}" if rest else last
