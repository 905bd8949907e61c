"""The choices of `canary demo`'s options; a module without heavy imports."""

from enum import StrEnum


class ScenarioName(StrEnum):
    """The defect of the new version."""

    LEAK = "leak"
    ERRORS = "errors"
    SLOW = "slow"
    REFUSE = "refuse"
    CRASH = "crash"
    GOOD = "good"


class MetricsSourceName(StrEnum):
    """The source of the metrics."""

    SCRAPE = "scrape"
    PROMETHEUS = "prometheus"
