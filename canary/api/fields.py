"""Field types of the spec; each error names the allowed values and their unit."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
DURATION = "".join(
    rf"(?:([0-9]{{1,{digits}}}(?:\.[0-9]{{1,9}})?){unit})?"
    for unit, digits in (("h", 5), ("m", 6), ("s", 8), ("ms", 9))
)
"""The number of digits is limited, so that no sum overflows in the API server (Go)."""
_DURATION = re.compile(DURATION)
_MILLISECONDS = (3_600_000, 60_000, 1000, 1)


class Frozen(BaseModel):
    """An immutable model: unknown fields are errors, camelCase in YAML and snake_case in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True, slots=True)
class Expect:
    """Replaces every error of a value by one description of the allowed values."""

    words: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the type with one message for all errors."""
        return replace_errors(handler(source), self.words)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema of the type with the same message, for the CRD."""
        return handler(schema) | {"words": self.words}


def replace_errors(schema: CoreSchema, words: str) -> CoreSchema:
    """Return a schema whose every error is `words`."""
    return core_schema.custom_error_schema(
        schema,
        custom_error_type="expected",
        custom_error_message="{words}",
        custom_error_context={"words": words},
    )


def build_field_error(message: str, *at: int | str) -> PydanticCustomError:
    """Build the error of a rule across fields; `at` is the path of the field to correct."""
    return PydanticCustomError("misfit", "{message}", {"message": message, "at": at})


def parse_duration(value: object) -> float:
    """Parse `30s`, `1h30m`, `1.5h`, `250ms` or a number of seconds; the result is in seconds.

    Raises:
        ValueError: the text has another format, or is longer than 744 hours.
    """
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and value and (match := _DURATION.fullmatch(value)):
        parts = zip(match.groups(), _MILLISECONDS, strict=True)
        seconds = sum(float(count or 0) * size for count, size in parts) / 1000
    if not 0 <= seconds <= 744 * 3600:
        raise ValueError("expected a duration such as 30s, 2m or 1h30m (at most 744h)")
    return round(seconds * 1000) / 1000


def format_duration(seconds: float) -> str:
    """Format seconds for the spec: `5400.0` → `1h30m`, `0.25` → `250ms`."""
    rest = round(seconds * 1000)
    parts = []
    for size, unit in zip(_MILLISECONDS, ("h", "m", "s", "ms"), strict=True):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class DurationRange:
    """A duration within a range: seconds in Python, `1h30m` in YAML (never a number)."""

    least: str = "0s"
    most: str = "744h"

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return a schema that parses a duration and checks its range."""
        low, high = parse_duration(self.least), parse_duration(self.most)

        def within(value: object, info: core_schema.ValidationInfo) -> float:
            if info.mode == "json" and not isinstance(value, str):
                raise ValueError(value)  # As in the API server, where durations are strings.
            seconds = parse_duration(value)
            if not low <= seconds <= high:
                raise ValueError(value)
            return seconds

        printed = core_schema.plain_serializer_function_ser_schema(
            format_duration, return_schema=core_schema.str_schema(), when_used="json"
        )
        parsed = core_schema.with_info_plain_validator_function(within, serialization=printed)
        return replace_errors(parsed, self.words)

    @property
    def words(self) -> str:
        """The allowed values."""
        return f"a duration from {self.least} to {self.most}, such as 30s or 1h30m"

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a string schema with the range; `format: duration` accepts `2 minutes`."""
        return {
            "type": "string",
            "pattern": f"^{DURATION}$",
            "least": self.least,
            "most": self.most,
            "words": self.words,
        }


Duration = Annotated[float, DurationRange()]
"""Seconds in Python, `1h30m` in YAML; up to 744 hours."""

Name = Annotated[
    str,
    StringConstraints(pattern=f"^{LABEL}$", max_length=63),
    Expect("a DNS label (at most 63 lower-case letters, digits and '-', no '-' at either end)"),
]
GuardedName = Annotated[
    str,
    StringConstraints(pattern=f"^{LABEL}$", max_length=56),
    Expect(
        "a DNS label (at most 56 lower-case letters, digits and '-', "
        "because NAME-canary must be a valid name too)"
    ),
]
ObjectName = Annotated[
    str,
    StringConstraints(pattern=f"^{SUBDOMAIN}$", max_length=253),
    Expect("a Kubernetes name (at most 253 lower-case letters, digits, '-' and '.')"),
]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=rf"^({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$", max_length=317
    ),
    Expect("a label key such as app or app.kubernetes.io/name"),
]
RuleName = Annotated[
    str,
    StringConstraints(pattern=f"^{SUBDOMAIN}$", max_length=253),
    Expect("the name of a rule of the route (lower-case letters, digits, '-' and '.')"),
]
RouteName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    Expect("the name of a route (1 to 253 characters)"),
]
SecretKey = Annotated[
    str,
    StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253),
    Expect("a key of a Secret (letters, digits, '-', '_' and '.')"),
]
Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s/]+\S*$", max_length=2048),
    Expect("a URL that starts with http:// or https://"),
]
Query = Annotated[
    str,
    StringConstraints(min_length=1, max_length=8192),
    Expect("a PromQL expression of 1 to 8,192 characters"),
]
PresetName = Annotated[
    str, StringConstraints(min_length=1, max_length=63), Expect("the name of a preset")
]
Weight = Annotated[int, Field(ge=1, le=100), Expect("a weight from 1 to 100 (percent)")]
"""Percent of traffic to the canary."""
Share = Annotated[
    float, Field(gt=0, lt=1), Expect("a share above 0 and below 1 (0.05 is 5 percent)")
]
"""Share of requests or of connections, 0–1."""
