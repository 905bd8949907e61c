"""A simulated service: requests, errors and connections of both versions per interval. Pure.

Counts are Poisson distributed. All pods behave alike, errors do not come in clumps and stable does
not drift, so real traffic is harder to judge. Only the standard library is used.
"""

import math
from dataclasses import dataclass, field
from random import Random

from canary.core.increments import Side
from canary.core.pools.samples import PoolReading
from canary.core.statistics import draw_poisson

HOLD_SECONDS = 0.1
"""Seconds that a request holds a connection."""


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """The parameters of a simulated release. Ratios are 0–1, rates are per second."""

    rps: float
    stable: float
    canary: float
    leak: float = 0.0
    """Connections leaked per canary request."""
    pool: int = 50
    """Maximum connections of each pod's pool."""
    replicas: int = 4
    """Pods of stable."""

    @property
    def good(self) -> "FaultScenario":
        """Return the same scenario without a fault in the canary."""
        return FaultScenario(self.rps, self.stable, self.stable, 0.0, self.pool, self.replicas)


@dataclass(frozen=True, slots=True)
class SimulatedRequests:
    """Requests and bad requests of both versions in one period."""

    canary: int
    canary_bad: int
    stable: int
    stable_bad: int

    def plus(self, other: "SimulatedRequests") -> "SimulatedRequests":
        """Return the sum of both periods."""
        return SimulatedRequests(
            self.canary + other.canary,
            self.canary_bad + other.canary_bad,
            self.stable + other.stable,
            self.stable_bad + other.stable_bad,
        )


@dataclass(slots=True)
class SimulatedService:
    """The state of the scenario over time. The same `random` gives the same events."""

    scenario: FaultScenario
    random: Random
    lost: dict[str, int] = field(default_factory=dict)
    """Connections that each canary pod has leaked."""

    def serve(self, seconds: float, weight: float, pods: int) -> SimulatedRequests:
        """Simulate a period in seconds with this traffic share (0–1) and number of canary pods."""
        one = self.scenario
        share = weight if pods else 0.0
        canary, bad = self._draw_requests(one.rps * seconds * share, self._canary_ratio(pods))
        stable, stable_bad = self._draw_requests(one.rps * seconds * (1.0 - share), one.stable)
        if one.leak and canary:
            self._lose_connections(canary, pods)
        return SimulatedRequests(canary, bad, stable, stable_bad)

    def _draw_requests(self, mean: float, ratio: float) -> tuple[int, int]:
        """Draw the number of all and of bad requests; bad ones are drawn independently."""
        bad = draw_poisson(mean * ratio, self.random)
        return bad + draw_poisson(mean * (1.0 - ratio), self.random), bad

    def _canary_ratio(self, pods: int) -> float:
        """Return the canary's share of bad requests.

        Pods with an exhausted pool fail all of theirs.
        """
        if not self.lost:
            return self.scenario.canary
        empty = sum(lost >= self.scenario.pool for lost in self.lost.values()) / pods
        return self.scenario.canary * (1.0 - empty) + empty

    def _lose_connections(self, requests: int, pods: int) -> None:
        for number in range(pods):
            name = f"canary-{number}"
            more = draw_poisson(requests / pods * self.scenario.leak, self.random)
            self.lost[name] = min(self.scenario.pool, self.lost.get(name, 0) + more)

    def readings(
        self, seconds: float, counts: SimulatedRequests, pods: int, *, holds: bool
    ) -> tuple[PoolReading, ...]:
        """Return each pod's pool at the end of an interval; `holds`: with the sum of hold times."""
        replicas = self.scenario.replicas
        sides = ((Side.CANARY, pods, counts.canary), (Side.STABLE, replicas, counts.stable))
        return tuple(
            self._read_pool(f"{side.value}-{number}", side, seconds, requests / count, holds=holds)
            for side, count, requests in sides
            for number in range(count)
        )

    def _read_pool(
        self, name: str, side: Side, seconds: float, requests: float, *, holds: bool
    ) -> PoolReading:
        size = self.scenario.pool
        busy = draw_poisson(requests / seconds * HOLD_SECONDS, self.random) + self.lost.get(name, 0)
        spread = math.sqrt(max(requests, 1.0)) * HOLD_SECONDS
        held = max(0.0, self.random.gauss(requests * HOLD_SECONDS, spread)) if holds else None
        return PoolReading(name, side, seconds, float(min(busy, size)), float(size), held=held)
