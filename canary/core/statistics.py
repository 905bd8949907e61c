"""Statistics that several commands need: intervals of a share, slopes, Poisson numbers. Pure.

What the judge itself relies on is in `core/evidence` and `core/pools`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from statistics import NormalDist, median

_Z = 1.959963984540054
"""The quantile of the normal distribution for a two-sided 95 % interval."""
_MAX_COUNTED_MEAN = 30.0


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope in `y` per `x`, with its confidence interval, which may be infinite."""

    value: float
    low: float
    high: float

    @property
    def per_thousand(self) -> float:
        """The slope per 1,000 of `x`, such as connections per 1,000 requests."""
        return 1000 * self.value


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Slope | None:
    """Return the median of the slopes between all pairs of points; None if all `x` are equal.

    The interval is Sen's (1968), from the variance of Kendall's S with ties (Hollander & Wolfe,
    *Nonparametric Statistical Methods*, 9.3); it is unbounded with too few points.
    """
    pairs = combinations(zip(x, y, strict=True), 2)
    slopes = sorted((d - b) / (c - a) for (a, b), (c, d) in pairs if a != c)
    if not slopes:
        return None
    wide = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(_kendall_variance(x, y))
    outside = math.floor((len(slopes) - wide) / 2)
    if outside < 1:
        return Slope(median(slopes), -math.inf, math.inf)
    return Slope(median(slopes), slopes[outside - 1], slopes[len(slopes) - outside])


def _kendall_variance(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the variance of Kendall's S (Kendall 1970, ch. 4)."""
    n = len(x)
    ties = [[values.count(value) for value in set(values)] for values in (list(x), list(y))]
    by_ties = math.fsum(t * (t - 1) * (2 * t + 5) for each in ties for t in each)
    triples = math.prod(sum(t * (t - 1) * (t - 2) for t in each) for each in ties)
    doubles = math.prod(sum(t * (t - 1) for t in each) for each in ties)
    result = (n * (n - 1) * (2 * n + 5) - by_ties) / 18
    result += triples / (9 * n * (n - 1) * (n - 2)) if n > 2 else 0.0  # noqa: PLR2004 - of triples
    return result + doubles / (2 * n * (n - 1))


def wilson_interval(bad: float, total: float) -> tuple[float, float]:
    """Return the 95 % interval (0–1) of the share of `bad` in `total` > 0 requests.

    Wilson, *Probable inference, the law of succession, and statistical inference*, 1927. For
    display only: the judge uses its own interval of the ratio, valid after every analysis.
    """
    share = min(max(bad / total, 0.0), 1.0)
    shrink = 1 + _Z**2 / total
    center = (share + _Z**2 / (2 * total)) / shrink
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / shrink
    return max(center - half, 0.0), min(center + half, 1.0)


TailProbability = Callable[[float], float]


def clopper_pearson(hits: int, trials: int, error: float = 0.05) -> tuple[float, float]:
    """Return the exact (Clopper–Pearson) confidence interval of a probability.

    The bounds are found by bisection of the binomial tail. For example, 0 hits in 100 trials give 0
    to 3.6 %.
    """

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

    low = 0.0 if hits == 0 else _solve_for_probability(tail, error / 2)
    if hits == trials:
        return low, 1.0
    hits += 1  # P(X ≤ hits) = 1 − P(X ≥ hits + 1)
    return low, _solve_for_probability(tail, 1 - error / 2)


def _solve_for_probability(tail: TailProbability, wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) < wanted else (low, middle)
    return (low + high) / 2


def quantile_of_trials(values: Sequence[float], share: float, trials: int) -> float:
    """Return a quantile over all trials; trials without a value count as infinite."""
    rank = max(1, math.ceil(share * trials))
    return sorted(values)[rank - 1] if rank <= len(values) else math.inf


def draw_poisson(mean: float, random: Random) -> int:
    """Draw a Poisson number.

    Small means are drawn by multiplying uniform numbers (Knuth), large ones by Hörmann's PTRS
    (1993), which is exact as well.
    """
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
