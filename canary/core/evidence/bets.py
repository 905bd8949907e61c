"""The bets: their wealth grows only if the canary is worse than tolerated.

The wealth of one bet is `M ← (M + g)·e`, M₀ = 0.55: `e` is the factor of the block and `g` is fresh
capital, for faults that begin late (an onset mixture: Shin, Ramdas & Rinaldo, *E-detectors*). The
total capital is 1, and every factor has mean ≤ 1 given the past. So `M + capital not yet added` is
a supermartingale, and so is the weighted average of all bets. By Ville's inequality the probability
that it ever reaches 1/α is at most α.

Four kinds of factors (Waudby-Smith & Ramdas, *Estimating means of bounded random variables by
betting*; notation: x bad of n requests, c canary, s stable, m = x_c + x_s, p the canary's share):

* share:  1 + f·w·(x_c/m − p0)/p0 with p0 = ρp/(ρp+1−p). Only the mean matters, so it holds however
  errors cluster within a block. w = min(1, m/k): a block with fewer errors than the clump size k
  of stable is part of a clump and counts less. Unweighted, a hiccup of a canary pod with few errors
  would count as much as one of a stable pod with many.
* grid:   (θ^x_c / (1+(θ−1)p0)^m)^(1/k). The likelihood ratio of "θ times the tolerated odds",
  raised to 1/k for clumps of size k (u^(j/k) is concave for clumps of j ≤ k, so its mean stays
  ≤ 1). It is skipped until k is known. Losses are raised to 1/1.3 at least, which only makes the
  factor smaller. At high rates this bet is several times as fast as the share bet.
* limit:  1 + f·(x_c/n_c − r0)/r0, r0 = max(limit, ρ·b).
* own:    1 + f·(x_c/n_c − r1)/r1, r1 = ρ·b. Its gain is not capped by the weight.

b is an upper bound of stable's rate (`Baseline.bound`). The last two bets use blocks of at least
50 stable requests (60 s at most): with fewer, a shared outage that happens to spare stable looks
like the canary's fault.

Worked example. The canary has p = 10 % of the traffic, stable fails 0.1 %. In 15 s the canary fails
8 of 150 requests, stable 1 of 1,350: m = 9. With ρ = 1.25, p0 = 0.125/(0.125 + 0.9) = 0.122, so the
canary should have 1.1 of the 9 errors and has 8. Share: 8/9/0.122 − 1 = 6.29 and the factors for
f = 0.12, 0.3, 0.7 are 1.75, 2.89, 5.40. Grid, with k = 1.16: 13.5, 128 and 2,321 for θ = 1.6, 2.5
and 5. Limit: 5.3 % against 5 %, 1.02 and 1.06. Own: 5.3 % against ρ·b = 0.13 %, 7.0, 21 and 37. The
evidence after this one block is 139, and 1/α = 100. With a fault that both versions share (4 of 150
and 36 of 1,350) it would be 0.38.
"""

import math
from collections.abc import Iterator, Sequence

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.bet_sizes import (
    GRID,
    GRID_LOSS_CLUMP,
    GRID_TERMS,
    LIMIT,
    MOST,
    NOT_PLACED,
    OWN,
    QUIET_OWN,
    SHARE,
    START,
)
from canary.core.evidence.policy import RatioPolicy

_WEIGHT_SHARE, _WEIGHT_GRID, _WEIGHT_LIMIT, _WEIGHT_OWN = 0.45, 0.30, 0.05, 0.20
_EARLY, _LATE, _HORIZON = 0.30, 0.15, 7200.0
_LARGEST = 700.0
"""The largest x whose exponential does not overflow."""
_BLOCK_REQUESTS, _BLOCK_SECONDS = 50.0, 60.0


def compute_fresh_capital(since: float, seconds: float) -> float:
    """Return the fresh capital for a block of `seconds`.

    The block ends `since` seconds after the first bet. 0.30 is spread evenly over two hours, then
    0.15 over all later time.
    """
    # A fault may begin at any time, so the later capital must never run out: it falls with the
    # square of time, and its sum is finite.
    if since <= _HORIZON:
        return _EARLY * seconds / _HORIZON
    return _LATE * _HORIZON * seconds / (since * since)


class Bets:
    """The wealth of all bets, and the open block."""

    __slots__ = ("_block", "_own_pending", "_share_pending", "own", "share")

    def __init__(self) -> None:
        self.share = [START] * (len(SHARE) + len(GRID))
        self.own = [START] * (len(LIMIT) + len(OWN))
        self._share_pending = 0.0
        self._own_pending = 0.0
        self._block: tuple[float, float, float, float] | None = None

    def add_capital(self, amount: float) -> None:
        """Add fresh capital to each bet; the next factor multiplies it as well."""
        self._share_pending += amount
        self._own_pending += amount

    def bet_on_share(
        self, bad: float, nulls: Sequence[tuple[float, float]], clumps: tuple[float, float]
    ) -> None:
        """Bet on the canary's share of bad requests.

        `bad` is x_c. `nulls` are (m_k > 0, p0_k) per stratum. `clumps` are the size of clumps (0 if
        unknown, which skips the grid) and stable's dispersion.
        """
        clump, dispersion = clumps
        errors = expected = 0.0
        for m, p in nulls:
            errors += m
            expected += m * p
        # The null hypothesis expects the canary to have this number of the errors.
        edge = bad / expected - 1.0
        # A block with fewer errors than a usual clump is part of one, so it counts less.
        if errors < dispersion:
            edge *= errors / dispersion
        factors = [1.0 + stake * edge for stake in SHARE]
        if clump > 0.0:
            factors += _grid_factors(bad, nulls, clump)
        else:
            factors += NOT_PLACED
        self.share = _grow_wealth(self.share, self._share_pending, factors)
        self._share_pending = 0.0

    def bet_on_rates(
        self,
        span: tuple[float, float],
        counts: tuple[float, float, float],
        baseline: Baseline,
        policy: RatioPolicy,
        odds: tuple[float, float],
    ) -> None:
        """Bet on the canary's own rate, per block; `counts` are n_c > 0, x_c and n_s.

        `odds` are the tolerated ratio and how much worse the canary's mix of routes is (≥ 1).
        """
        start, end = span
        canary, bad, stable = counts
        if self._block is not None:
            start = self._block[0]
            canary += self._block[1]
            bad += self._block[2]
            stable += self._block[3]
        # b is only as reliable as stable's requests are many. Alone, b is history and known.
        have = canary if policy.alone else stable
        if have < _BLOCK_REQUESTS and end - start < _BLOCK_SECONDS - 1e-9:
            self._block = (start, canary, bad, stable)
            return
        self._block = None
        factors: Sequence[float] = QUIET_OWN
        if bad:
            factors = _own_factors((start, end), bad / canary, baseline, policy, odds)
        self.own = _grow_wealth(self.own, self._own_pending, factors)
        self._own_pending = 0.0

    def evidence(self, *, alone: bool, limited: bool) -> float:
        """Return the weighted average of all bets."""
        share, own = self.share, self.own
        on_limit = _WEIGHT_LIMIT * (own[0] + own[1]) / 2.0 if limited else 0.0
        on_own = _WEIGHT_OWN * (own[2] + own[3] + own[4]) / 3.0
        weights = _WEIGHT_OWN + (_WEIGHT_LIMIT if limited else 0.0)
        value = on_limit + on_own
        if not alone:
            value += _WEIGHT_SHARE * (share[0] + share[1] + share[2]) / 3.0
            value += _WEIGHT_GRID * (share[3] + share[4] + share[5]) / 3.0
            weights += _WEIGHT_SHARE + _WEIGHT_GRID
        return min(MOST, value / weights)

    def limit_evidence(self) -> float:
        """Return the evidence of the limit bets, which decides the reason of a failure."""
        return (self.own[0] + self.own[1]) / 2.0

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        flat = [*self.share, *self.own, self._share_pending, self._own_pending]
        flat += (0.0,) if self._block is None else (1.0, *self._block)
        return flat

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        self.share = [next(numbers) for _ in self.share]
        self.own = [next(numbers) for _ in self.own]
        self._share_pending, self._own_pending = next(numbers), next(numbers)
        if next(numbers):
            self._block = (next(numbers), next(numbers), next(numbers), next(numbers))


def _grow_wealth(wealth: list[float], pending: float, factors: Sequence[float]) -> list[float]:
    # Capped, because it would overflow within an hour and never decrease again.
    return [
        grown if (grown := (m + pending) * e) < MOST else MOST
        for m, e in zip(wealth, factors, strict=True)
    ]


def _grid_factors(bad: float, nulls: Sequence[tuple[float, float]], clump: float) -> list[float]:
    losing = min(clump, GRID_LOSS_CLUMP)
    factors = []
    for more, log_theta in GRID_TERMS:
        log = bad * log_theta
        for errors, p in nulls:
            log -= errors * math.log1p(more * p)
        log = min(log / clump, _LARGEST) if log > 0.0 else log / losing
        factors.append(math.exp(log))
    return factors


def _own_factors(
    span: tuple[float, float],
    rate: float,
    baseline: Baseline,
    policy: RatioPolicy,
    odds: tuple[float, float],
) -> list[float]:
    """Return the factors of the limit and own-rate bets for a block with bad canary requests."""
    start, end = span
    tolerated, mix = odds
    if baseline.total > 0.0:
        bound = baseline.long_run() if policy.alone else baseline.bound(end)
        if not policy.alone:
            # A fault that both versions share shows in stable's requests of the same block.
            bound = max(bound, baseline.rate(end, end - start))
        own = max(tolerated * bound * mix, bound * mix + policy.floor)
    else:
        own = math.inf  # Nothing is known about stable, so this bet loses its stake.
    limit = policy.limit or 0.0
    limit = limit if own == math.inf else max(limit, own)
    against_limit = rate / limit - 1.0 if limit > 0.0 else -1.0
    against_own = rate / own - 1.0
    return [
        *(1.0 + stake * against_limit for stake in LIMIT),
        *(1.0 + stake * against_own for stake in OWN),
    ]
