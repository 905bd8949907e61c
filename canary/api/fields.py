"""The field types that the spec is made of; each error says what was found and what is allowed."""

import re
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class Frozen(BaseModel):
    """Immutable; unknown fields are errors; camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, strict=False
    )


def parse_duration(value: object) -> float:
    """Seconds in `30s`, `2m`, `1h30m`, `250ms`, or a plain number of seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a duration such as 30s, 2m or 1h30m is expected")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        match = DURATION.fullmatch(value)
        if not value or not match:
            raise ValueError("a duration such as 30s, 2m or 1h30m is expected")
        hours, minutes, rest, milliseconds = (float(part or 0) for part in match.groups())
        seconds = hours * 3600 + minutes * 60 + rest + milliseconds / 1000
    if not 0 <= seconds <= 31 * 86400:
        raise ValueError("a duration between 0s and 744h is expected")
    return seconds


def format_duration(seconds: float) -> str:
    """`5400.0` → `1h30m`, `0.25` → `250ms`: what `parse_duration` reads back."""
    milliseconds = round(seconds * 1000)
    parts = []
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Field(json_schema_extra={"x-duration": True}),
]
"""Seconds inside, `1h30m` in YAML."""

Name = Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63)]
ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        min_length=1,
        max_length=317,
    ),
]
Weight = Annotated[int, Field(ge=1, le=100)]
"""Percent of traffic to the canary."""
Ratio = Annotated[float, Field(gt=0, lt=1)]
"""Share of requests, 0–1."""
