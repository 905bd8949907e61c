"""The incident budget: no statistic tells the first 20 s of a fault from a hiccup of 20 s."""

import math
from typing import NamedTuple

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.policy import RatioPolicy
from canary.core.evidence.stakes import (
    GRID,
    GRID_LOSS_CLUMP,
    GRID_TERMS,
    MOST,
    SHARE,
    SHARE_LOSSES,
    START,
)

_LEAST_GAIN = 1.2
_FORGET_SECONDS = 300.0

Ring = list[tuple[float, list[float]]]
"""End (seconds) of recent blocks, and the wealth of each stake before them."""


class Budget(NamedTuple):
    """What one incident may bring to each stake."""

    gains: list[float] | None
    """Largest log gain per stake; None: nothing was gained."""
    incident: float
    """Length in seconds."""
    decisive: float
    """Factor of wealth that all but decides."""


def most_gain(policy: RatioPolicy) -> tuple[float, float]:
    """Largest log gain of a stake within one incident, and the factor that all but decides.

    An incident brings at most 0.8 of the evidence that is needed (0.2 with no stable to show what
    is shared), of wealth that starts at 0.55 or less: by itself it never decides.
    """
    if policy.incident == 0.0:
        return math.log(MOST), MOST
    share, least = (0.2, 20.0) if policy.alone else (0.8, 80.0)
    decisive = share / policy.false_alarm
    return math.log(max(least, decisive)), decisive


def share_budget(
    baseline: Baseline, now: float, clump: float, p0: float, policy: RatioPolicy
) -> Budget:
    """The budget of the bets on the share of errors.

    No more than five minutes without canary errors give back: otherwise two hiccups ten minutes
    apart would add up, and no statistic tells a hiccup from a fault's start.
    """
    most, decisive = most_gain(policy)
    if policy.incident == 0.0:
        return Budget([most] * (len(SHARE) + len(GRID)), 0.0, decisive)
    requests = baseline.window(now, 600.0)[0] / 600.0
    errors = max(baseline.mean(), policy.floor) * requests * _FORGET_SECONDS / max(1.0, clump)
    losses = (
        *SHARE_LOSSES,
        *(math.log1p(more * p0) / GRID_LOSS_CLUMP for more, _ in GRID_TERMS),
    )
    gains = [min(most, max(_LEAST_GAIN, errors * loss)) for loss in losses]
    return Budget(gains, policy.incident, decisive)


def cut(
    ring: Ring,
    span: tuple[float, float],
    before: list[float],
    after: list[float],
    budget: Budget,
) -> list[float]:
    """Cuts what exceeds the incident budget.

    Wealth may not exceed exp(gain) times what it was at any moment that may belong to the same
    incident: in any block that ended later than `incident` before this one began. Nor may it come
    near deciding (0.55 × `decisive`) in one incident, unless it was near before.
    """
    start, end = span
    horizon = start - budget.incident + 1e-9
    while ring and ring[0][0] <= horizon:
        ring.pop(0)
    ring.append((end, before))
    if budget.gains is None:
        return after
    lowest = [min(values) for values in zip(*(wealth for _, wealth in ring), strict=True)]
    decisive = budget.decisive
    return [
        min(value, math.exp(gain) * low, decisive * max(START, low), MOST)
        for value, gain, low in zip(after, budget.gains, lowest, strict=True)
    ]
