"""Measures differences that are not chance: between pods, and between mixes of routes.

Example of pods: four pods of stable fail 5, 10, 10 and 35 of 10,000 requests each, 15 on average.
By chance alone χ² would be about 3; it is (100 + 25 + 25 + 400)/15 = 36.7. Beyond chance the rates
vary by 86 % (coefficient of variation), so a canary pod with twice stable's rate is not unusual:
the tolerance of 1.25 becomes 1.25·(1 + 2.5·0.86) = 3.9. With log-normal rates that vary by
40 % one pod in 200 is worse than that by chance; with 2 instead of 2.5 it is one in 90.

Example of routes: of stable's requests 95 % are logins (0.1 % fail) and 5 % are searches (2 %
fail). The canary gets 85 % and 15 %. With the same code it fails 0.39 % and stable 0.20 %.
`compare_route_mix` returns the part of that factor which the mix explains: 1.6 instead of 1.95
while only ten errors of each route are known.
"""

import math
from collections.abc import Iterator, Sequence

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.policy import Interval, PodCount, Stratum

_HOUR = 3600.0


class Overdispersion:
    """Counts per pod of stable and per route, with a decay time of one hour."""

    __slots__ = ("_pods", "_routes", "_time")

    def __init__(self) -> None:
        self._pods: dict[str, tuple[float, float]] = {}
        self._routes: dict[str, tuple[float, float]] = {}
        self._time: float | None = None

    def add(self, end: float, pods: Sequence[PodCount], strata: Sequence[Stratum]) -> None:
        """Add stable's counts of one interval."""
        if self._time is not None and end > self._time:
            fade = math.exp((self._time - end) / _HOUR)
            self._pods = _fade_counts(self._pods, fade)
            self._routes = _fade_counts(self._routes, fade)
        self._time = end
        for pod, total, bad in pods:
            seen, seen_bad = self._pods.get(pod, (0.0, 0.0))
            self._pods[pod] = (seen + total, seen_bad + bad)
        for route in strata:
            seen, seen_bad = self._routes.get(route.name, (0.0, 0.0))
            now = (seen + route.stable_total, seen_bad + route.stable_bad)
            self._routes[route.name] = now

    def measure_pod_spread(self, clump: float) -> float:
        """Return the coefficient of variation of the pods' rates beyond clumped Poisson noise."""
        # With clumps even identical pods differ, so the expected χ² of each grows with the clump
        # size.
        counts = [(n, x) for n, x in self._pods.values() if n > 0.0]
        total = sum(n for n, _ in counts)
        bad = sum(x for _, x in counts)
        if len(counts) < 2 or bad <= 0.0:  # noqa: PLR2004 - differences need two pods
            return 0.0
        rate = bad / total
        chi = sum((x - rate * n) ** 2 / (rate * n) for n, x in counts)
        excess = chi - (len(counts) - 1) * max(clump, 1.0)
        scale = rate * (total - sum(n * n for n, _ in counts) / total)
        return math.sqrt(max(0.0, excess / scale)) if scale > 0.0 else 0.0

    def compare_route_mix(self, strata: Sequence[Stratum]) -> float:
        """Return how much worse the canary's mix of routes is than stable's (≥ 1)."""
        # The rate of a route with few requests is pulled towards the rate of all routes.
        overall = sum(x for _, x in self._routes.values()) + 1.0
        overall /= sum(n for n, _ in self._routes.values()) + 1.0
        canary = stable = requests = stable_requests = 0.0
        for route in strata:
            total, bad = self._routes.get(route.name, (0.0, 0.0))
            rate = (bad + 1.0) / (total + 1.0 / overall)
            canary += route.canary_total * rate
            stable += route.stable_total * rate
            requests += route.canary_total
            stable_requests += route.stable_total
        if requests <= 0.0 or stable <= 0.0:
            return 1.0
        # At least 1, because an easier mix must not hide a fault.
        return max(1.0, canary / requests / (stable / stable_requests))

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of pods and routes, in the order of `dump`."""
        return tuple(self._pods), tuple(self._routes)

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        counts = [*self._pods.values(), *self._routes.values()]
        head = [0.0] if self._time is None else [1.0, self._time]
        return [*head, *(number for pair in counts for number in pair)]

    def load(
        self, numbers: Iterator[float], names: tuple[tuple[str, ...], tuple[str, ...]]
    ) -> None:
        """Restore the numbers of `dump` and the names of `names`."""
        has_time = next(numbers)
        self._time = next(numbers) if has_time else None
        self._pods = {name: (next(numbers), next(numbers)) for name in names[0]}
        self._routes = {name: (next(numbers), next(numbers)) for name in names[1]}


def _fade_counts(
    counts: dict[str, tuple[float, float]], fade: float
) -> dict[str, tuple[float, float]]:
    return {name: (n * fade, x * fade) for name, (n, x) in counts.items() if n * fade > 1e-3}  # noqa: PLR2004 - decayed


def tolerated_odds(tolerance: float, baseline: Baseline, now: float, floor: float) -> float:
    """Return the tolerated ratio of rates, including the floor.

    Rates that differ by less than `floor` count as equal: max(ρ·b, b + floor) / b.
    """
    # `bound` is never below `long_run`: if the floor has no effect here it has none below.
    if tolerance - 1.0 >= floor / baseline.long_run():
        return tolerance
    return max(tolerance, 1.0 + floor / baseline.bound(now))


def null_shares(odds: float, block: Interval) -> tuple[float, Sequence[tuple[float, float]]]:
    """Return bad canary requests, and per stratum its errors with the canary's expected share.

    The share is the largest that is still tolerated. Strata without errors, or with requests of
    only one version, give no information and are skipped.
    """
    bad, nulls = 0.0, []
    parts = block.strata or (("", *block[2:6]),)
    for _, canary, canary_bad, stable, stable_bad in parts:
        if canary > 0.0 and stable > 0.0 and canary_bad + stable_bad > 0.0:
            bad += canary_bad
            weight = odds * canary
            nulls.append((canary_bad + stable_bad, weight / (weight + stable)))
    return bad, nulls
