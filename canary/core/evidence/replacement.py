"""Is the canary shown to be healthy while the stable version is broken?

In an outage of the stable version the fix must not wait for a judge that compares two healthy
versions. Two things are asked, each so that a hiccup or bad luck is not enough:

* Stable has been broken for a while: at or above its limit in each of the last three spans of one
  tolerated incident, so a single burst of stable's does not count.
* "The canary's rate is at least the limit, and at least half of stable's" is ruled out at `ERROR`,
  by the test that promotion uses (`promotion.rules_out`). Only requests count that came while
  stable was broken: a canary that was fine before a fault which both share proves nothing.

For example: stable fails 10 % of 47 requests/s, the canary none of 2.5 requests/s. The larger of
limit (5 %) and half of stable's rate (5 %) is excluded after ln(10,000)/0.0475 ≈ 200 canary
requests, 80 s. At 30 % it takes 67 requests, 27 s. A canary as bad as stable never passes.
"""

import math
from collections.abc import Iterator

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.policy import Interval, RatioPolicy
from canary.core.evidence.promotion import GROSS, rules_out

ERROR = 1e-4
"""Chance of ever being wrong: far below that of a false rollback, as users pay for it."""
SPANS = 3
HALF = 0.5
_LEAST_SPAN = 20.0
"""Seconds: in shorter spans there would be fewer than a handful of scrapes."""
_LARGEST_CLUMP = 8.0
"""Of stable's errors: its outage says little about how the canary's would clump."""


class ReplacementTest:
    """Canary requests, and the bad ones among them, since stable is broken."""

    __slots__ = ("_bad", "_total")

    def __init__(self) -> None:
        self._total = 0.0
        self._bad = 0.0

    def add(self, block: Interval, baseline: Baseline, policy: RatioPolicy) -> None:
        """Takes in one judged block with requests of both sides (stable's are in `baseline`)."""
        if policy.limit is None or policy.alone:
            return
        broken = block.stable_bad >= policy.limit * block.stable_total > 0.0
        if not broken and self._total == 0.0:
            return
        if baseline.rate(baseline.latest(), _window_length(policy)) < policy.limit:
            self._total = self._bad = 0.0
        elif broken:
            self._total += block.canary_total
            self._bad += block.canary_bad

    def is_better(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Whether the canary is the way out of a broken stable version."""
        if policy.limit is None or self._total <= 0.0 or not _is_broken(baseline, policy):
            return False
        total, bad = baseline.window(baseline.latest(), SPANS * _window_length(policy))
        # A standard error below: luck in the estimate must not make the canary look healthy.
        rate = max(policy.limit, HALF * (bad - math.sqrt(bad)) / total)
        clump = min(baseline.clump_for_promotion(), _LARGEST_CLUMP)
        return rules_out(self._bad, self._total * rate, clump, ERROR, GROSS)

    def dump(self) -> list[float]:
        """All of it as numbers."""
        return [self._total, self._bad]

    def load(self, numbers: Iterator[float]) -> None:
        """What `dump` gave; nothing where an earlier version wrote the state."""
        self._total, self._bad = next(numbers, 0.0), next(numbers, 0.0)


def _window_length(policy: RatioPolicy) -> float:
    return max(policy.tolerated_incident, _LEAST_SPAN)


def _is_broken(baseline: Baseline, policy: RatioPolicy) -> bool:
    """Whether stable was at or above its limit in each of the last spans."""
    limit = math.inf if policy.limit is None else policy.limit
    now, before = baseline.latest(), (0.0, 0.0)
    for number in range(1, SPANS + 1):
        total, bad = baseline.window(now, number * _window_length(policy))
        requests, errors = total - before[0], bad - before[1]
        if requests <= 0.0 or errors < limit * requests:
            return False
        before = total, bad
    return True
