"""Tests whether the canary is healthy while the stable version is broken.

In an outage of the stable version a fix must not wait for an analysis that compares two healthy
versions. Two conditions must hold; a hiccup or chance does not satisfy them:

* Stable is broken: it is at or above its limit in each of the last three periods of one tolerated
  incident, so a single burst does not count.
* "The canary's rate is at least the limit, and at least half of stable's" is excluded at `ERROR`,
  by the promotion test (`promotion.rules_out`). Only requests since stable is broken count: if the
  canary was healthy before a shared fault began, that proves nothing.

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
"""Probability of a wrong result. Far below the false positive rate, because users pay for it."""
SPANS = 3
HALF = 0.5
_LEAST_SPAN = 20.0
"""Minimum seconds of a period; shorter ones have too few scrapes."""


class ReplacementTest:
    """Requests and bad requests of the canary since stable is broken."""

    __slots__ = ("_bad", "_total")

    def __init__(self) -> None:
        self._total = 0.0
        self._bad = 0.0

    def add(self, block: Interval, baseline: Baseline, policy: RatioPolicy) -> None:
        """Add one block with requests of both versions (stable's are in `baseline`)."""
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
        """Return whether the canary may replace a broken stable version."""
        if policy.limit is None or self._total <= 0.0 or not _is_broken(baseline, policy):
            return False
        total, bad = baseline.window(baseline.latest(), SPANS * _window_length(policy))
        # A standard error below, so that luck in the estimate does not make the canary look
        # healthy.
        rate = max(policy.limit, HALF * (bad - math.sqrt(bad)) / total)
        clump = baseline.clump_for_promotion()
        return rules_out(self._bad, self._total * rate, clump, ERROR, GROSS)

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        return [self._total, self._bad]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`.

        No numbers, from an older version, leave the state empty.
        """
        self._total, self._bad = next(numbers, 0.0), next(numbers, 0.0)


def _window_length(policy: RatioPolicy) -> float:
    return max(policy.tolerated_incident, _LEAST_SPAN)


def _is_broken(baseline: Baseline, policy: RatioPolicy) -> bool:
    """Return whether stable was at or above its limit in each of the last periods."""
    limit = math.inf if policy.limit is None else policy.limit
    now, before = baseline.latest(), (0.0, 0.0)
    for number in range(1, SPANS + 1):
        total, bad = baseline.window(now, number * _window_length(policy))
        requests, errors = total - before[0], bad - before[1]
        if requests <= 0.0 or errors < limit * requests:
            return False
        before = total, bad
    return True
