"""How sure a figure of a simulation is, and its quantiles. Pure."""

import math
from collections.abc import Callable, Sequence

TailProbability = Callable[[float], float]


def clopper_pearson(hits: int, trials: int, error: float = 0.05) -> tuple[float, float]:
    """Exact confidence interval of a probability, by bisection of the binomial tail."""

    def tail(p: float) -> float:
        """P(X ≥ hits)."""
        if p <= 0.0 or p >= 1.0:
            return float(p >= 1.0 or hits == 0)
        top = math.lgamma(trials + 1)
        return math.fsum(
            math.exp(
                top
                - math.lgamma(k + 1)
                - math.lgamma(trials - k + 1)
                + k * math.log(p)
                + (trials - k) * math.log1p(-p)
            )
            for k in range(hits, trials + 1)
        )

    low = 0.0 if hits == 0 else _bisect(tail, error / 2)
    if hits == trials:
        return low, 1.0
    hits += 1  # P(X ≤ hits) = 1 − P(X ≥ hits + 1)
    return low, _bisect(tail, 1 - error / 2)


def _bisect(tail: TailProbability, wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) < wanted else (low, middle)
    return (low + high) / 2


def quantile_of_trials(values: Sequence[float], share: float, trials: int) -> float:
    """Quantile over all trials, those without a value counted as infinite."""
    rank = max(1, math.ceil(share * trials))
    return sorted(values)[rank - 1] if rank <= len(values) else math.inf
