"""Combines several metrics with one false positive rate, and names the failed ones (e-BH)."""

from collections.abc import Mapping, Sequence


def combine_evidence(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the weighted average of e-values, which is an e-value whatever their dependence.

    Raises:
        ValueError: there are no values, or not one weight per value.
    """
    weights = weights if weights is not None else [1.0] * len(values)
    if not values or len(weights) != len(values) or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError("expected one weight of at least 0 per e-value, and at least one e-value")
    return sum(w * e for w, e in zip(weights, values, strict=True)) / sum(weights)


def find_worse_metrics(evidence: Mapping[str, float], error: float) -> tuple[str, ...]:
    """Return the metrics that failed, with a false discovery rate of at most `error`.

    e-BH (Wang and Ramdas, *False discovery rate control with e-values*): with K metrics, the k
    metrics with the largest e-values, for the largest k whose k-th e-value is at least K/(k·error).
    Largest first. For example, with 3 metrics and `error` 0.01 the e-values 700, 160 and 20 name
    the first two: 160 ≥ 3/(2·0.01) = 150, but 20 < 100.
    """
    ranked = sorted(evidence.items(), key=lambda item: (-item[1], item[0]))
    count = 0
    for rank, (_, value) in enumerate(ranked, start=1):
        if value >= len(ranked) / (rank * error):
            count = rank
    return tuple(name for name, _ in ranked[:count])
