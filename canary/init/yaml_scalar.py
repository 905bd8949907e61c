"""Text as a YAML scalar. Pure."""

import json
import re

_PLAIN = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*")
_RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def scalar(value: str) -> str:
    """Return the text as YAML, quoted where YAML would read it as another type."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
    return value if plain else json.dumps(value, ensure_ascii=False)
