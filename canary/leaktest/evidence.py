"""The evidence of `canary leaktest` for a leak, and the evidence against one. Pure.

The only assumption about a sound version is that the floors of its drains are exchangeable (they
could have come in any order): background work takes connections, and requests do not matter. Then
the n-th floor exceeds all earlier ones with a probability of at most 1/n, whatever their ranks. A
bet on that at fair odds, with a stake that depends on ranks only, has no expected gain. By Ville's
inequality the wealth of such bets *ever* reaches 1/α with a probability of at most α, so it may be
checked after every drain (Ville 1939; Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random
World*, ch. 8).

Example: the 10th floor is a record. Fair odds are 10:1, so a stake of 0.5 turns a wealth of 1 into
1 - 0.5 + 0.5 · 10 = 5.5. Had it been no record, the wealth would be 0.5.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

STAKE_FRACTIONS = (0.4, 0.7, 1.0)
"""Shares of the stake that would be optimal if the leak were as large as estimated."""
_MAX_STAKE = 0.9
_ALTERNATIVES = ((0.0, 0.5), (0.2, 0.25), (0.5, 0.25))
"""Alternatives to the leak to be ruled out, as shares of its size, with their weights."""


def record_evidence(
    levels: Sequence[float], requests: Sequence[float], idle: int, smallest: float
) -> float:
    """Return the evidence that floors rise with requests; it ever exceeds 1/α with probability ≤ α.

    `levels` are floors (connections), `requests` the total before each; the first `idle` floors had
    no load before them. `smallest` is the smallest leak that matters, in requests per connection:
    loads too short to show one get no stake. An equal floor is no rise.
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
    """Count the floors that exceed all earlier ones, excluding the first `idle`."""
    return sum(levels[index] > max(levels[:index]) for index in range(idle, len(levels)))


def _kelly_stake(likely: float, number: int) -> float:
    """Return Kelly's stake for a rise of probability `likely` where 1 / `number` is fair."""
    return min(max(0.0, (likely * number - 1) / (number - 1)), _MAX_STAKE)


def clean_evidence(lost: float, requests: float, smallest: float) -> float:
    """Return the evidence against a leak of 1 connection per `smallest` requests or a larger one.

    `lost` is the number of connections held in excess of the start. If there is such a leak, this
    ever exceeds 1/β with a probability of at most β (losses are a Poisson process, and none is
    returned).
    """
    expected = requests / smallest
    return math.fsum(
        weight * _share_power(share, lost) * math.exp(min((1 - share) * expected, 700.0))
        for share, weight in _ALTERNATIVES
    )


def _share_power(share: float, lost: float) -> float:
    return share**lost if share or lost else 1.0


def clean_requests(lost: float, smallest: float, false_pass: float) -> int:
    """Return the number of requests that rule such a leak out if `lost` connections are lost."""
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


def still_rising(levels: Sequence[float]) -> bool:
    """Return whether the later half rose at least half as much as even growth would.

    Growth during warm-up (pools, caches, compiled code) slows down; a leak does not.
    """
    middle = len(levels) // 2
    steps = [after - before for before, after in pairwise(levels)]
    late, all_of_it = math.fsum(steps[middle:]), math.fsum(steps)
    return all_of_it > 0 and late >= all_of_it / 4
