"""Kulldorff et al. 2011, *A maximized sequential probability ratio test*: the tie-out.

Poisson MaxSPRT with upper limit T on the expected number of events: reject when
c·ln(c/μ) − (c − μ) ≥ CV for some c > μ, μ ≤ T. Published CVs at α = 0.05: T=1 2.853937,
T=10 3.467952, T=100 3.952321. Agreement checks our sequential reasoning and our simulator.
"""

import math

import numpy as np

PUBLISHED = {1.0: 2.853937, 10.0: 3.467952, 100.0: 3.952321}
ALPHA = 0.05


def signal_time(count: int, critical: float) -> float:
    """Largest μ at which `count` events are still a signal."""
    low, high = 0.0, float(count)
    for _ in range(100):
        middle = (low + high) / 2
        if middle > 0 and count * math.log(count / middle) - (count - middle) < critical:
            high = middle
        else:
            low = middle
    return low


def rejection_probability(critical: float, upper: float) -> float:
    """Exact chance of a signal under the null: recursion over the times at which counts count.

    `state[c]` is the chance of c events at the present μ without a signal so far. Between two
    boundary times events come by Poisson; a count whose boundary time is not over is a signal.
    """
    state = np.array([1.0])
    rejected, now, count = 0.0, 0.0, 1
    while now < upper:
        until = min(signal_time(count, critical), upper)
        state = np.convolve(state, _poisson(until - now, count))[: count + 1]
        # While μ ≤ signal_time(count), having `count` events or more is a signal.
        rejected = 1.0 - float(state[:count].sum()) if count else 0.0
        state, now = state[:count], until
        count += 1
    return rejected


def _poisson(mean: float, most: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    terms = [math.exp(-mean)]
    for k in range(1, most + 1):
        terms.append(terms[-1] * mean / k)
    return np.array(terms)


def critical_value(upper: float, alpha: float = ALPHA) -> float:
    """The critical value at which the chance of a signal is α, by bisection."""
    low, high = 1.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        if rejection_probability(middle, upper) > alpha:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def simulated(critical: float, upper: float, releases: int, seed: int) -> float:
    """Share of simulated Poisson releases with a signal."""
    rng = np.random.default_rng([seed, int(upper)])
    most = int(upper + 12 * math.sqrt(upper) + 20)
    bounds = np.array([signal_time(count, critical) for count in range(1, most + 1)])
    times = np.cumsum(rng.exponential(1.0, (releases, most)), axis=1)
    return float(((times <= bounds) & (times <= upper)).any(axis=1).mean())
