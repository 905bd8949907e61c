"""How sure a share of requests is. Pure."""

from math import sqrt

_Z = 1.959963984540054
"""Of a two-sided interval of 95 %."""


def wilson_interval(bad: float, total: float) -> tuple[float, float]:
    """The 95 % interval (0–1) of a share of `bad` in `total` > 0 requests.

    Wilson, *Probable inference, the law of succession, and statistical inference*, 1927. For
    reading only: the judge's own interval is that of the ratio, which holds at every look.
    """
    share = min(max(bad / total, 0.0), 1.0)
    shrink = 1 + _Z**2 / total
    center = (share + _Z**2 / (2 * total)) / shrink
    half = _Z * sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / shrink
    return max(center - half, 0.0), min(center + half, 1.0)
