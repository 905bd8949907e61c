"""The promotion test: excludes a regression of at least the smallest relevant size.

Null hypothesis: the canary's bad rate is at least r′. For φ < 1 the likelihood ratio `φ^x ·
e^((1−φ)·r′·n)` has mean ≤ 1 under it; it is raised to the power 1/k for errors in clumps of k,
because clumps make periods without errors more likely, then averaged over φ and compared with 1/β.
Without any bad request this takes n ≥ ln(1/β)/r′ requests: 460 to exclude 1 %, 921 to exclude 0.5
%.

Worked example. Stable fails 0.1 %, the smallest regression is 0.5 %: r′ = 0.6 %, β = 1 %. Averaged
over five φ, the test takes 1,093 canary requests without a bad one, 1,480 with one, 1,845 with two
and 2,791 with five; if errors come in pairs (k = 2) 2,186 without any. At 10 requests/s that is two
to five minutes, so `min_duration` usually takes longer.
"""

import math
from collections.abc import Iterator

from canary.core.evidence.baseline import RECENT, Baseline
from canary.core.evidence.policy import Interval, RatioPolicy

Terms = tuple[tuple[float, float, float], ...]
"""Log of the weight, log φ and 1 − φ of each likelihood ratio of a mixture."""


def _build_terms(*mixture: tuple[float, float]) -> Terms:
    return tuple((math.log(weight), math.log(phi), 1.0 - phi) for weight, phi in mixture)


SMALL = _build_terms((0.2, 0.1), (0.2, 0.3), (0.2, 0.5), (0.2, 0.7), (0.2, 0.85))
"""For the smallest regression: a good canary may have any rate below it."""
GROSS = _build_terms((0.7, 0.05), (0.2, 0.3), (0.1, 0.6))
"""For severe damage, of which a good canary has almost none."""
_GROSS_RATIO = 2.0
_LONGEST = 300.0
_CLUMP_OF_A_STEP = 8.0


def rules_out(bad: float, expected: float, clump: float, error: float, terms: Terms) -> bool:
    """Return whether "at least `expected` bad requests" is rejected at `error`, given `bad`."""
    wanted = -math.log(error)
    logs = [w + (bad * log_phi + less * expected) / clump for w, log_phi, less in terms]
    # The largest term is factored out, because thousands of bad requests would underflow.
    top = max(logs)
    if top >= wanted:
        return True
    return top + math.log(sum(math.exp(log - top) for log in logs)) >= wanted


class Promotion:
    """Sums over the release, without intervals in which stable itself is above its limit."""

    __slots__ = ("_bad", "_gross", "_small", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._bad = 0.0
        self._small = 0.0
        self._gross = 0.0

    def add(self, block: Interval, baseline: Baseline, policy: RatioPolicy) -> None:
        """Add one block with canary requests (stable's requests are in `baseline`)."""
        recent, recent_bad = baseline.window(block.end, RECENT)
        if policy.alone:
            # Stable gets no more requests, so its last ten minutes would be empty.
            stable = baseline.mean()
        elif recent <= 0.0:
            return
        else:
            # A quarter of a standard error below, so that luck in the estimate does not pass a
            # regression.
            stable = (recent_bad - math.sqrt(recent_bad) * 0.25) / recent
            if policy.limit is not None and block.stable_bad > policy.limit * block.stable_total:
                return
        start, end, total, bad = block[:4]
        gross, unhealthy = _GROSS_RATIO * stable + policy.smallest_regression, policy.unhealthy
        self.seconds += end - start if end - start < _LONGEST else _LONGEST
        self._bad += bad
        self._small += total * policy.too_bad(stable)
        self._gross += total * (gross if gross > unhealthy else unhealthy)

    def small_regression_excluded(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Return the result of the promotion test, after enough time under traffic."""
        if self.seconds < policy.min_duration or self._small <= 0.0:
            return False
        clump = baseline.clump_for_promotion()
        return rules_out(self._bad, self._small, clump, policy.promotion_error, SMALL)

    def gross_damage_excluded(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Return the result of the test before the next step: about 105 requests at a limit of 5 %.

        A large burst of stable's errors raises the number of requests at most eightfold. A step is
        less than a promotion, and people override a release that does not move for an hour.
        """
        if self._gross <= 0.0:
            return False
        clump = min(baseline.clump_for_promotion(), _CLUMP_OF_A_STEP)
        return rules_out(self._bad, self._gross, clump, policy.promotion_error, GROSS)

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        return [self.seconds, self._bad, self._small, self._gross]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        self.seconds, self._bad, self._small = next(numbers), next(numbers), next(numbers)
        self._gross = next(numbers)
