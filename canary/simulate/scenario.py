"""A simulated service: requests, errors and connections of both versions, interval by interval.

Pure, and with nothing but the standard library: counts are Poisson. All pods are as good as each
other, errors do not come in clumps and stable does not drift, so reality is less kind than this.
"""

import math
from dataclasses import dataclass, field
from random import Random

from canary.core.increments import Side
from canary.core.pools.samples import PoolReading

_MAX_COUNTED_MEAN = 30.0
HOLD_SECONDS = 0.1
"""Seconds for which a request holds a connection."""


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """What a release is like. Ratios are shares of requests (0–1), rates are per second."""

    rps: float
    stable: float
    canary: float
    leak: float = 0.0
    """Connections that are never given back, per request of the canary."""
    pool: int = 50
    """Connections of a pod."""
    replicas: int = 4
    """Stable's pods."""

    @property
    def good(self) -> "FaultScenario":
        """The same service with a canary as good as stable."""
        return FaultScenario(self.rps, self.stable, self.stable, 0.0, self.pool, self.replicas)


@dataclass(frozen=True, slots=True)
class SimulatedRequests:
    """Requests and bad ones of both versions in one stretch of time."""

    canary: int
    canary_bad: int
    stable: int
    stable_bad: int

    def plus(self, other: "SimulatedRequests") -> "SimulatedRequests":
        """Both stretches together."""
        return SimulatedRequests(
            self.canary + other.canary,
            self.canary_bad + other.canary_bad,
            self.stable + other.stable,
            self.stable_bad + other.stable_bad,
        )


@dataclass(slots=True)
class SimulatedService:
    """The scenario as it goes on; the same `random` gives the same course."""

    scenario: FaultScenario
    random: Random
    lost: dict[str, int] = field(default_factory=dict)
    """Connections that each canary pod has lost."""

    def serve(self, seconds: float, weight: float, pods: int) -> SimulatedRequests:
        """What happened in so many seconds at this share of traffic (0–1), with `pods` canaries."""
        one = self.scenario
        share = weight if pods else 0.0
        canary, bad = self._requests(one.rps * seconds * share, self._ratio(pods))
        stable, stable_bad = self._requests(one.rps * seconds * (1.0 - share), one.stable)
        if one.leak and canary:
            self._lose(canary, pods)
        return SimulatedRequests(canary, bad, stable, stable_bad)

    def _requests(self, mean: float, ratio: float) -> tuple[int, int]:
        """All and bad ones, independent of the good ones."""
        bad = draw_poisson(mean * ratio, self.random)
        return bad + draw_poisson(mean * (1.0 - ratio), self.random), bad

    def _ratio(self, pods: int) -> float:
        """The canary's share of bad requests: all of them, in a pod whose pool is empty."""
        if not self.lost:
            return self.scenario.canary
        empty = sum(lost >= self.scenario.pool for lost in self.lost.values()) / pods
        return self.scenario.canary * (1.0 - empty) + empty

    def _lose(self, requests: int, pods: int) -> None:
        for number in range(pods):
            name = f"canary-{number}"
            more = draw_poisson(requests / pods * self.scenario.leak, self.random)
            self.lost[name] = min(self.scenario.pool, self.lost.get(name, 0) + more)

    def readings(
        self, seconds: float, counts: SimulatedRequests, pods: int, *, holds: bool
    ) -> tuple[PoolReading, ...]:
        """Every pod's pool at the end of an interval; `holds`: the exporter tells hold times."""
        replicas = self.scenario.replicas
        sides = ((Side.CANARY, pods, counts.canary), (Side.STABLE, replicas, counts.stable))
        return tuple(
            self._reading(f"{side.value}-{number}", side, seconds, requests / count, holds=holds)
            for side, count, requests in sides
            for number in range(count)
        )

    def _reading(
        self, name: str, side: Side, seconds: float, requests: float, *, holds: bool
    ) -> PoolReading:
        size = self.scenario.pool
        busy = draw_poisson(requests / seconds * HOLD_SECONDS, self.random) + self.lost.get(name, 0)
        spread = math.sqrt(max(requests, 1.0)) * HOLD_SECONDS
        held = max(0.0, self.random.gauss(requests * HOLD_SECONDS, spread)) if holds else None
        return PoolReading(name, side, seconds, float(min(busy, size)), float(size), held=held)


def draw_poisson(mean: float, random: Random) -> int:
    """A Poisson number: counted, or where it is large by Hörmann's PTRS (1993), also exact."""
    if mean <= 0.0:
        return 0
    if mean < _MAX_COUNTED_MEAN:
        return _draw_small_poisson(mean, random)
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse, quick = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = random.random() - 0.5, random.random()
        left = 0.5 - abs(u)
        if left <= 0.0 or v <= 0.0:
            continue
        k = math.floor((2.0 * a / left + b) * u + mean + 0.43)
        if left >= 0.07 and v <= quick:  # noqa: PLR2004 - the paper's constants
            return k
        if k < 0 or (left < 0.013 and v > left):  # noqa: PLR2004 - as above
            continue
        density = k * math.log(mean) - mean - math.lgamma(k + 1)
        if math.log(v * inverse / (a / (left * left) + b)) <= density:
            return k


def _draw_small_poisson(mean: float, random: Random) -> int:
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
