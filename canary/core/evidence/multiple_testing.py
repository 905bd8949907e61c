"""Several metrics, one false-alarm rate: a weighted average, and e-BH to name the guilty."""

from collections.abc import Mapping, Sequence


def combine_evidence(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Weighted average of e-values: an e-value itself, whatever their dependence.

    Raises:
        ValueError: no values, or weights that do not fit them.
    """
    weights = weights if weights is not None else [1.0] * len(values)
    if not values or len(weights) != len(values) or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError("expected one weight of at least 0 per e-value, and at least one e-value")
    return sum(w * e for w, e in zip(weights, values, strict=True)) / sum(weights)


def find_worse_metrics(evidence: Mapping[str, float], error: float) -> tuple[str, ...]:
    """The metrics that are worse, with a false discovery rate of at most `error`.

    e-BH: the k largest with the largest k for which the k-th is at least K/(k·error)
    (Wang and Ramdas, *False discovery rate control with e-values*). Largest first.
    """
    ranked = sorted(evidence.items(), key=lambda item: (-item[1], item[0]))
    count = 0
    for rank, (_, value) in enumerate(ranked, start=1):
        if value >= len(ranked) / (rank * error):
            count = rank
    return tuple(name for name, _ in ranked[:count])
