"""Data types of rules; expressions are PromQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.runbooks import BASE


class Team(StrEnum):
    """Recipient of an alert; a label, by which Alertmanager can route."""

    DATABASE = "database"
    SERVICE = "service"
    """The owners of the service."""
    PLATFORM = "platform"
    """The team that runs the operator and Prometheus."""


class Severity(StrEnum):
    """`critical` pages somebody, `warning` can wait for working hours."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Settings of the chart, as strings that are inserted into expressions unchanged.

    `budget` is the share of requests that may fail (0.001: an objective of 99.9 %), `limit` the
    utilization above which a pool counts as nearly full, `services` a regular expression of the
    services whose errors are alerted on, `runbooks` the base URL of the runbooks.
    """

    limit: str = "0.75"
    budget: str = "0.001"
    services: str = ".+"
    runbooks: str = BASE


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A recording rule: `name` is level:metric:operation."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule; `lasting` is how long the expression has to hold, such as `5m`.

    `labels` are additional to severity and team.
    """

    name: str
    severity: Severity
    team: Team
    expression: str
    lasting: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules evaluated together, in this order, every `interval`."""

    name: str
    interval: str
    rules: tuple[RecordingRule | Alert, ...]
