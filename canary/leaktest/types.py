"""What a leak test is given, and what it shows while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.core.series import NoData
from canary.leaktest.evaluation import LeakFinding, Reading, Round
from canary.loadtest.generator import LoadPlan


class GaugeSource(Protocol):
    """Where it is read what is in use."""

    lag: int
    """Loads that it takes until a lost connection shows."""

    def look(self) -> Reading | NoData:
        """All gauges of this moment."""
        ...

    def begin_load(self) -> None:
        """Requests come from now on."""
        ...


@dataclass(frozen=True, slots=True)
class SubjectUnderTest:
    """One version: how it is loaded (rate, requests), and where it is read what it holds."""

    plan: LoadPlan
    source: GaugeSource


@dataclass(frozen=True, slots=True)
class LeakTestTiming:
    """Seconds."""

    most: float = 180.0
    """Of the whole test."""
    drain: float = 1.0
    patience: float = 8.0
    """How long what looks like a leak has to stay, at least."""
    warm_up: float = 0.5
    at_rate: float | None = None
    """Requests/s for which it is said when a pool is empty; None: those of the load."""


@dataclass(frozen=True, slots=True)
class LeakTestProgress:
    """How far it is."""

    phase: str
    seconds: float
    most: float
    requests: int
    rounds: tuple[Round, ...]
    finding: LeakFinding | None
    in_use: float | None = None
    """Just now; None: not known."""


ShowLeakProgress = Callable[[LeakTestProgress], None]
