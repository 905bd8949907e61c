"""Bounds for figures of a simulation."""

import math


def fewest_seconds(
    rps: float, weight: float, rates: tuple[float, float], error: float = 0.01
) -> float:
    """ln(1/α)/KL: no test of that level can on average be quicker (tolerance 1).

    `rates` are stable's and the canary's; what is compared is the share of errors.
    """
    stable, canary = rates[0] * rps * (1 - weight), rates[1] * rps * weight
    share = canary / (canary + stable)
    divergence = share * math.log(share / weight)
    divergence += (1 - share) * math.log((1 - share) / (1 - weight))
    return math.log(1 / error) / (divergence * (canary + stable))
