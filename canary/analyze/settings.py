"""Builds the analysis of two groups of series from the given options and defaults."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from canary.api import Analysis, Metric, format_duration
from canary.core.evidence import RatioPolicy
from canary.errors import UsageError

_MIN_DURATION = 1200.0
_MIN_DURATION_RATIO = 0.75
_WARM_UP = 60.0
_DURATION_FIELDS = frozenset({"interval", "tolerated_incident", "warm_up", "min_duration", "above"})


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """The options of a comparison, as given; None or empty: not given."""

    canary: str | None
    stable: str | None
    metric: tuple[str, ...] = ()
    total: str | None = None
    bad: str | None = None
    good: str | None = None
    client_errors: tuple[str, ...] = ()
    latency: tuple[str, ...] = ()
    above: float | None = None
    pool: tuple[str, ...] = ()
    pool_size: int | None = None
    file: str | None = None
    for_: float | None = None
    from_: str | None = None
    to: str | None = None
    step: float | None = None

    @property
    def given(self) -> list[str]:
        """The names of the options that were given."""
        names = (name for name in self.__slots__ if getattr(self, name))
        return ["-f" if one == "file" else f"--{one.strip('_').replace('_', '-')}" for one in names]


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The options as given; None: not given."""

    tolerance: float | None = None
    false_positive_rate: float | None = None
    limit: float | None = None
    smallest_regression: float | None = None
    tolerated_incident: float | None = None
    warm_up: float | None = None
    min_duration: float | None = None

    @property
    def given(self) -> dict[str, float]:
        """Return the options that were given, by name."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}

    def build_policy(self) -> RatioPolicy:
        """Return the policy of a ratio. Raises UsageError naming the option."""
        given: dict[str, float | None] = dict(self.given)
        if self.limit is not None and math.isnan(self.limit):
            given["limit"] = None
        with _name_option_in_errors():
            return RatioPolicy(**given)  # type: ignore[arg-type]  # `alone` is not among them

    def build_analysis(self, metrics: tuple[Metric, ...], span: float, interval: float) -> Analysis:
        """The analysis of metrics over `span` seconds. Raises UsageError naming the option."""
        given = self.given
        own = {str(name): given.pop(name) for name in ("tolerance", "limit") if name in given}
        left = max(0.0, span - given.get("warm_up", _WARM_UP))
        given.setdefault("min_duration", min(_MIN_DURATION, _MIN_DURATION_RATIO * left // 1))
        with name_fields_in_errors():
            changed = tuple(_override_fields(one, own) for one in metrics)
            return Analysis.model_validate({"metrics": changed, "interval": interval} | given)

    @staticmethod
    def with_interval(analysis: Analysis, interval: float) -> Analysis:
        """Return the same analysis with another interval in seconds. Raises UsageError."""
        with name_fields_in_errors():
            return type(analysis).model_validate(dict(analysis) | {"interval": interval})


def _override_fields(metric: Metric, own: dict[str, float]) -> Metric:
    """Return the metric with those fields that apply to it; a limit is for errors only."""
    if math.isnan(own.get("limit", 0.0)):
        raise UsageError("--limit none is only for --samples: set a share instead, such as 0.05")
    meant = own if metric.ratio else {name: v for name, v in own.items() if name != "limit"}
    return type(metric).model_validate(dict(metric) | meant) if metric.is_request_share else metric


def _format_value(name: str, value: object) -> object:
    """Format a value as people type it: 5h, not 18000.0."""
    return (
        format_duration(value) if name in _DURATION_FIELDS and isinstance(value, float) else value
    )


@contextmanager
def _name_option_in_errors() -> Iterator[None]:
    """Report a value out of range with the name of its option."""
    try:
        yield
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise UsageError(f"--{name.replace('_', '-')} {rest}") from error


@contextmanager
def name_fields_in_errors() -> Iterator[None]:
    """Report an error of a model with the name of the option it came from."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "step"
        option = {"interval": "step"}.get(name, name).replace("_", "-")
        whole = "expected" in first["msg"]  # The message of a rule over several fields is complete.
        found = _format_value(name, first["input"])
        message = first["msg"] if whole else f"expected {first['msg']}, found {found}"
        raise UsageError(f"--{option}: {message}") from error
