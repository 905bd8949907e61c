"""Computes the confidence interval of a share of requests. Pure."""

from math import sqrt

_Z = 1.959963984540054
"""The quantile of the normal distribution for a two-sided 95 % interval."""


def wilson_interval(bad: float, total: float) -> tuple[float, float]:
    """Return the 95 % interval (0–1) of the share of `bad` in `total` > 0 requests.

    Wilson, *Probable inference, the law of succession, and statistical inference*, 1927. For
    display only: the judge uses its own interval of the ratio, valid after every analysis.
    """
    share = min(max(bad / total, 0.0), 1.0)
    shrink = 1 + _Z**2 / total
    center = (share + _Z**2 / (2 * total)) / shrink
    half = _Z * sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / shrink
    return max(center - half, 0.0), min(center + half, 1.0)
