"""How many times as often the canary fails: an estimate, and a confidence sequence around it."""

import math
from collections.abc import Callable, Iterator

_GROUPS = 8
_SAME = 1.25
_WIDEST = 30.0

Function = Callable[[float], float]


class Ratio:
    """Counts per step of weight (share of traffic within a factor of 1.25 of odds).

    The confidence sequence is {ρ : E_ρ < 1/α} with E_ρ = Π over steps of the likelihood ratio of a
    Beta(½, ½) mixture against the share that ρ implies, counts divided by the clump size k (Lindon
    and Malek, *Anytime-valid inference for multinomial count data*). It holds at all times at once
    and assumes one ratio during the whole release and clumps of errors of at most k.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: list[list[float]] = []

    def add(self, canary: float, canary_bad: float, stable: float, stable_bad: float) -> None:
        """Takes in one judged block with canary and stable requests."""
        # A new weight changes the odds that a bad request is the canary's, noise hardly does.
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
        """Canary's requests and bad ones, stable's requests and bad ones, of judged blocks."""
        a, b, c, d = (math.fsum(group[i] for group in self._groups) for i in range(4))
        return a, b, c, d

    def estimate(self) -> float | None:
        """Mantel and Haenszel's ratio of rates; None where stable has no bad request."""
        over = under = 0.0
        for canary, canary_bad, stable, stable_bad in self._groups:
            over += canary_bad * stable / (canary + stable)
            under += stable_bad * canary / (canary + stable)
        return over / under if under > 0.0 else None

    def interval(self, clump: float, error: float) -> tuple[float | None, float | None]:
        """Bounds of the ratio; None: no lower, or no upper bound."""
        bad = sum(group[1] for group in self._groups)
        stable_bad = sum(group[3] for group in self._groups)
        if not bad and not stable_bad:
            return None, None
        # Convex: both bounds are found by halving, each on its side of the minimum.
        evidence = self._evidence(clump)
        middle = _minimum(evidence)
        limit = -math.log(error)
        low = high = None
        if bad:
            low = _crossing(lambda log: evidence(log) - limit, middle, -_WIDEST)
        if stable_bad:
            high = _crossing(lambda log: evidence(log) - limit, middle, _WIDEST)
        return (
            math.exp(low) if low is not None else (0.0 if stable_bad else None),
            math.exp(high) if high is not None else None,
        )

    def _evidence(self, clump: float) -> Function:
        """Log of E_ρ by log ρ: grows on both sides of its only minimum."""
        known, terms = 0.0, []
        for canary, canary_bad, stable, stable_bad in self._groups:
            x, y = canary_bad / clump, stable_bad / clump
            known += _log_beta(x + 0.5, y + 0.5) - _log_beta(0.5, 0.5)
            terms.append((x, y, math.log(canary / stable)))

        def evidence(log_ratio: float) -> float:
            value = known
            for x, y, log_weights in terms:
                log_odds = log_ratio + log_weights
                value += x * _softplus(-log_odds) + y * _softplus(log_odds)
            return value

        return evidence

    def dump(self) -> list[float]:
        """All of it as numbers."""
        return [float(len(self._groups)), *(number for g in self._groups for number in g)]

    def load(self, numbers: Iterator[float]) -> None:
        """What `dump` gave."""
        size = int(next(numbers))
        self._groups = [[next(numbers) for _ in range(4)] for _ in range(size)]


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _softplus(value: float) -> float:
    """log(1 + e^value), without overflow."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _minimum(function: Function) -> float:
    """Where a convex function is least on ±30, by golden section."""
    low, high = -_WIDEST, _WIDEST
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(60):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2.0


def _crossing(function: Function, inside: float, outside: float) -> float | None:
    """Where a function changes its sign between `inside` (negative) and `outside`."""
    if function(outside) < 0.0 or function(inside) >= 0.0:
        return None
    for _ in range(50):
        middle = (inside + outside) / 2.0
        if function(middle) < 0.0:
            inside = middle
        else:
            outside = middle
    return outside
