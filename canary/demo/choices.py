"""The choices of `canary demo`, apart from what is heavy to import."""

from enum import StrEnum


class ScenarioName(StrEnum):
    """What is wrong with the new version."""

    LEAK = "leak"
    ERRORS = "errors"
    SLOW = "slow"
    REFUSE = "refuse"
    CRASH = "crash"
    GOOD = "good"


class MetricsSourceName(StrEnum):
    """Where the judge's numbers come from."""

    SCRAPE = "scrape"
    PROMETHEUS = "prometheus"
