"""Inputs of a leak test, and the progress that it reports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.core.series import NoData
from canary.leaktest.evaluation import LeakFinding, Reading, Round
from canary.loadtest.generator import LoadPlan


class GaugeSource(Protocol):
    """Reads the gauges of one version."""

    lag: int
    """Number of further loads until a lost connection shows."""

    def read(self) -> Reading | NoData:
        """Read all gauges now."""
        ...

    def begin_load(self) -> None:
        """Note that requests are sent from now on."""
        ...


@dataclass(frozen=True, slots=True)
class SubjectUnderTest:
    """One version: the load to send to it, and the source of its gauges."""

    plan: LoadPlan
    source: GaugeSource


@dataclass(frozen=True, slots=True)
class LeakTestTiming:
    """Durations of a leak test in seconds."""

    most: float = 180.0
    """Maximum duration of the whole test."""
    drain: float = 1.0
    patience: float = 8.0
    """Minimum time that a suspected leak must persist."""
    warm_up: float = 0.5
    reading_interval: float = 0.25
    """Time between two readings in a drain."""
    at_rate: float | None = None
    """Requests per second for which pool exhaustion is predicted; None: the rate of the load."""


@dataclass(frozen=True, slots=True)
class LeakTestProgress:
    """Progress of a leak test."""

    phase: str
    seconds: float
    most: float
    requests: int
    rounds: tuple[Round, ...]
    finding: LeakFinding | None
    in_use: float | None = None
    """Connections in use now; None: unknown."""


ShowLeakProgress = Callable[[LeakTestProgress], None]
