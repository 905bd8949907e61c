"""The statistics of `canary leaktest`: how sure a leak is, how large, and that there is none. Pure.

Nothing here assumes more of a sound version than that the floors of its drains could have come in
any order (they are exchangeable): background work takes connections, requests have nothing to do
with it. Then the n-th floor is above all before it with a chance of at most 1/n, whatever the ranks
of those were. A bet on that at fair odds, with a stake that depends on ranks only, is never
expected to win; so by Ville's inequality the wealth of such bets *ever* reaches 1/α with a chance
of at most α, and it may be looked at after every drain (Ville 1939; Vovk, Gammerman & Shafer,
*Algorithmic Learning in a Random World*, ch. 8).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist, median

STAKE_FRACTIONS = (0.4, 0.7, 1.0)
"""Of the stake that would be best if the leak were as large as it seems."""
_MAX_STAKE = 0.9
_ALTERNATIVES = ((0.0, 0.5), (0.2, 0.25), (0.5, 0.25))
"""Leaks to test the one to be ruled out against, as shares of it, and their weights."""


def record_evidence(
    levels: Sequence[float], requests: Sequence[float], idle: int, smallest: float
) -> float:
    """Evidence that floors rise with requests: its chance of ever being above 1/α is at most α.

    `levels` are floors (connections), `requests` the total until each; the first `idle` had no load
    before them. `smallest` is the leak that matters, in requests per connection: no stake is put on
    loads too short to show one. An equal floor is no rise.
    """
    wealth = [1.0 / len(STAKE_FRACTIONS)] * len(STAKE_FRACTIONS)
    rises = 0
    for index in range(idle, len(levels)):
        number = index + 1
        load = requests[index] - requests[index - 1]
        rate = max(1 / smallest, rises / requests[index - 1] if requests[index - 1] else 0.0)
        stake = _kelly_stake(1 - math.exp(-rate * load), number)
        rose = levels[index] > max(levels[:index])
        wealth = [
            w * (1 - f * stake + (f * stake * number if rose else 0.0))
            for w, f in zip(wealth, STAKE_FRACTIONS, strict=True)
        ]
        rises += rose
    return sum(wealth)


def count_rises(levels: Sequence[float], idle: int) -> int:
    """How often a floor was above all before it, those of the first `idle` drains left out."""
    return sum(levels[index] > max(levels[:index]) for index in range(idle, len(levels)))


def _kelly_stake(likely: float, number: int) -> float:
    """Kelly's, for a rise with a chance of `likely` where 1 / `number` is fair."""
    return min(max(0.0, (likely * number - 1) / (number - 1)), _MAX_STAKE)


def clean_evidence(lost: float, requests: float, smallest: float) -> float:
    """Evidence against a leak of 1 connection per `smallest` requests or a larger one.

    `lost` is how many connections are held more than before. With such a leak there, the
    chance that this is ever above 1/β is at most β (losses are a Poisson process, none comes back).
    """
    expected = requests / smallest
    return math.fsum(
        weight * _share_power(share, lost) * math.exp(min((1 - share) * expected, 700.0))
        for share, weight in _ALTERNATIVES
    )


def _share_power(share: float, lost: float) -> float:
    return share**lost if share or lost else 1.0


def clean_requests(lost: float, smallest: float, false_pass: float) -> int:
    """How many requests rule such a leak out, if no more than `lost` connections stay away."""
    low, high = 0.0, smallest
    while clean_evidence(lost, high, smallest) < 1 / false_pass:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) / 2
        if clean_evidence(lost, middle, smallest) < 1 / false_pass:
            low = middle
        else:
            high = middle
    return math.ceil(high)


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope and its confidence interval, which may be infinite; connections per request."""

    value: float
    low: float
    high: float

    @property
    def per_thousand(self) -> float:
        """Connections per 1,000 requests."""
        return 1000 * self.value


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Slope | None:
    """The median of the slopes between all pairs of points; None where all `x` are equal.

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
    """Of Kendall's S (Kendall 1970, ch. 4)."""
    n = len(x)
    ties = [[values.count(value) for value in set(values)] for values in (list(x), list(y))]
    by_ties = math.fsum(t * (t - 1) * (2 * t + 5) for each in ties for t in each)
    triples = math.prod(sum(t * (t - 1) * (t - 2) for t in each) for each in ties)
    doubles = math.prod(sum(t * (t - 1) for t in each) for each in ties)
    result = (n * (n - 1) * (2 * n + 5) - by_ties) / 18
    result += triples / (9 * n * (n - 1) * (n - 2)) if n > 2 else 0.0  # noqa: PLR2004 - of triples
    return result + doubles / (2 * n * (n - 1))


def still_rising(levels: Sequence[float]) -> bool:
    """Whether it still grows in the later half, at least half as much as it would evenly.

    What grows because it warms up (pools, caches, code that is compiled) slows down.
    """
    middle = len(levels) // 2
    steps = [after - before for before, after in pairwise(levels)]
    late, all_of_it = math.fsum(steps[middle:]), math.fsum(steps)
    return all_of_it > 0 and late >= all_of_it / 4
