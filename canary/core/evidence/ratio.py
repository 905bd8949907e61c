"""Estimates how many times as often as stable the canary fails, with a confidence sequence."""

import math
from collections.abc import Callable, Iterator

_GROUPS = 8
_SAME = 1.25
_WIDEST = 30.0
_CLOSE, _STEPS = 1e-9, 100
"""Below this step the remaining error is about its square; 40 steps were never needed."""

Function = Callable[[float], tuple[float, float]]


class Ratio:
    """Counts per weight step, which is a range of odds within a factor of 1.25.

    The confidence sequence is {ρ : E_ρ < 1/α} with E_ρ = Π over steps of the likelihood ratio of a
    Beta(½, ½) mixture against the share that ρ implies, counts divided by the clump size k (Lindon
    and Malek, *Anytime-valid inference for multinomial count data*). It holds at all times at once
    and assumes one ratio during the whole release and clumps of errors of at most k.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: list[list[float]] = []

    def add(self, canary: float, canary_bad: float, stable: float, stable_bad: float) -> None:
        """Add one block with requests of both versions."""
        # A new weight changes the expected odds; chance changes them by less.
        odds = canary / stable
        groups = self._groups
        if groups:
            last = groups[-1]
            known = last[0] / last[2]
            if len(groups) == _GROUPS or known / _SAME < odds < known * _SAME:
                last[0] += canary
                last[1] += canary_bad
                last[2] += stable
                last[3] += stable_bad
                return
        groups.append([canary, canary_bad, stable, stable_bad])

    def totals(self) -> tuple[float, float, float, float]:
        """Return requests and bad requests of the canary, then those of stable."""
        a, b, c, d = (math.fsum(group[i] for group in self._groups) for i in range(4))
        return a, b, c, d

    def estimate(self) -> float | None:
        """Return the ratio of rates by Mantel and Haenszel; None if stable has no bad request."""
        over = under = 0.0
        for canary, canary_bad, stable, stable_bad in self._groups:
            over += canary_bad * stable / (canary + stable)
            under += stable_bad * canary / (canary + stable)
        return over / under if under > 0.0 else None

    def interval(self, clump: float, error: float) -> tuple[float | None, float | None]:
        """Return the bounds of the ratio; None: unbounded."""
        bad = sum(group[1] for group in self._groups)
        stable_bad = sum(group[3] for group in self._groups)
        if not bad and not stable_bad:
            return None, None
        evidence, least = self._log_evidence(clump), -math.log(error)
        low = _find_bound(evidence, least, -_WIDEST) if bad else None
        high = _find_bound(evidence, least, _WIDEST) if stable_bad else None
        return (
            math.exp(low) if low is not None else (0.0 if stable_bad else None),
            math.exp(high) if high is not None else None,
        )

    def _log_evidence(self, clump: float) -> Function:
        """Return log E_ρ and its slope at log ρ; it has one minimum and grows on both sides."""
        known, terms = 0.0, []
        for canary, canary_bad, stable, stable_bad in self._groups:
            x, y = canary_bad / clump, stable_bad / clump
            known += _log_beta(x + 0.5, y + 0.5) - _log_beta(0.5, 0.5)
            terms.append((x, y, math.log(canary / stable)))

        def evidence(log_ratio: float) -> tuple[float, float]:
            value, slope = known, 0.0
            for x, y, log_weights in terms:
                log_odds = log_ratio + log_weights
                # x·log(1 + 1/odds) + y·log(1 + odds), in a form in which no exponential overflows.
                small = math.exp(-abs(log_odds))
                value += (x + y) * math.log1p(small)
                value += y * log_odds if log_odds > 0.0 else -x * log_odds
                slope += (x + y) * (1.0 if log_odds > 0.0 else small) / (1.0 + small) - x
            return value, slope

        return evidence

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        return [float(len(self._groups)), *(number for g in self._groups for number in g)]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        size = int(next(numbers))
        self._groups = [[next(numbers) for _ in range(4)] for _ in range(size)]


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _find_bound(evidence: Function, least: float, start: float) -> float | None:
    """Return where the evidence falls to `least` between `start` and its minimum; None: nowhere.

    Newton's method: on a convex function, from outside, no step goes too far. For example, 30 bad
    of 1,000 against 100 of 9,000 requests: from ρ = e^30 down to 5.7 in seven steps.
    """
    at = start
    value, slope = evidence(at)
    if value < least:
        return None
    for _ in range(_STEPS):
        # Beyond the minimum the slope has the other sign: then even the minimum is above `least`.
        if slope * start <= 0.0:
            return None
        step = (value - least) / slope
        at -= step
        if abs(step) < _CLOSE:
            break
        value, slope = evidence(at)
    return at
