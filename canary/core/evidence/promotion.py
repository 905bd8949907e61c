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
_LONGEST = 300.0
CLUMP_OF_A_STEP = 4.0
"""Largest clump size for the test of a step."""


def rules_out(bad: float, expected: float, clump: float, error: float, terms: Terms) -> bool:
    """Return whether "at least `expected` bad requests" is rejected at `error`, given `bad`."""
    wanted = -math.log(error)
    logs = [w + (bad * log_phi + less * expected) / clump for w, log_phi, less in terms]
    # The largest term is factored out, because thousands of bad requests would underflow.
    top = max(logs)
    if top >= wanted:
        return True
    return top + math.log(sum(math.exp(log - top) for log in logs)) >= wanted


def expected_needed(bad: float, clump: float, error: float, terms: Terms) -> float:
    """Return the smallest number of expected bad requests that `rules_out`, given `bad`."""
    low, high = 0.0, 1.0
    while not rules_out(bad, high, clump, error, terms):
        low, high = high, 2.0 * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if rules_out(bad, middle, clump, error, terms) else (middle, high)
    return high


class Promotion:
    """Sums over the release, without intervals in which stable itself is above its limit."""

    __slots__ = ("_bad", "_clean", "_gross", "_small", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._bad = 0.0
        self._small = 0.0
        self._gross = 0.0
        self._clean = 0.0

    def add(self, block: Interval, baseline: Baseline, policy: RatioPolicy) -> None:
        """Add one block with canary requests (stable's requests are in `baseline`)."""
        recent, recent_bad = baseline.window(block.end, RECENT)
        if baseline.total <= 0.0 and not policy.alone:
            return
        if policy.alone or recent <= 0.0:
            # Stable gets no more requests: after promotion, or at a weight of 100 %.
            stable = baseline.mean()
        else:
            # A quarter of a standard error below, so that luck in the estimate does not pass a
            # regression.
            stable = (recent_bad - math.sqrt(recent_bad) * 0.25) / recent
            if policy.limit is not None and block.stable_bad > policy.limit * block.stable_total:
                return
        start, end, total, bad = block[:4]
        self.seconds += end - start if end - start < _LONGEST else _LONGEST
        self._bad += bad
        small = total * policy.too_bad(stable)
        self._small += small
        self._clean = 0.0 if bad else self._clean + small
        self._gross += total * policy.gross_damage(stable)

    def small_regression_excluded(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Return the result of the promotion test, after enough time under traffic."""
        if self.seconds < policy.min_duration or self._small <= 0.0:
            return False
        clump = baseline.clump_for_promotion()
        return rules_out(self._bad, self._small, clump, policy.promotion_error, SMALL)

    def recovered(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Return whether the canary passes the promotion test on its last clean requests alone.

        Evidence against the canary falls only with errors of stable. Without this test a canary
        with four errors in its first minute, too few to fail, would wait for ever beside a stable
        version without errors.
        """
        clump = baseline.clump_for_promotion()
        return rules_out(0.0, self._clean, clump, policy.promotion_error, SMALL)

    def gross_damage_excluded(self, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Return the result of the test before the next step: about 105 requests at a limit of 5 %.

        A step is less than a promotion, and people override a release that does not move for an
        hour.
        """
        if self._gross <= 0.0:
            return False
        clump = min(baseline.clump_for_promotion(), CLUMP_OF_A_STEP)
        return rules_out(self._bad, self._gross, clump, policy.promotion_error, GROSS)

    def missing_requests(
        self, baseline: Baseline, policy: RatioPolicy, *, final: bool, suspicious: bool
    ) -> float:
        """Return how many more good canary requests the next test takes at least.

        `final`: the promotion test instead of that of a step. `suspicious`: there is so much
        evidence against the canary that the test starts again at its last bad request.
        """
        if baseline.total <= 0.0:
            return math.inf
        recent, recent_bad = baseline.window(baseline.latest(), RECENT)
        stable = recent_bad / recent if recent > 0.0 else baseline.mean()
        clump, error = baseline.clump_for_promotion(), policy.promotion_error
        done, terms, each = self._small, SMALL, policy.too_bad(stable)
        if not final:
            done, terms, each = self._gross, GROSS, policy.gross_damage(stable)
            clump = min(clump, CLUMP_OF_A_STEP)
        missing = expected_needed(self._bad, clump, error, terms) - done
        if final and suspicious:
            missing = max(missing, expected_needed(0.0, clump, error, terms) - self._clean)
        return max(missing, 0.0) / each

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        return [self.seconds, self._bad, self._small, self._gross]

    def dump_clean(self) -> list[float]:
        """Return the number that is stored after all others."""
        return [self._clean]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        self.seconds, self._bad, self._small = next(numbers), next(numbers), next(numbers)
        self._gross = next(numbers)

    def load_clean(self, numbers: Iterator[float]) -> None:
        """Restore the number of `dump_clean`; no number means no clean run."""
        self._clean = next(numbers, 0.0)
