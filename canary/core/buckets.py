"""Counts slow requests from the buckets of a histogram. Pure.

A histogram counts, per bound `le`, the requests that took at most that long. With the bounds 0.25,
0.5 and 1 and `above: 400ms` the nearest is 0.5: of 100 requests, 97 of them within 0.5 s, 3 are
slow. Exporters write one bound in several ways ("1", "1.0"), so bounds are compared as numbers.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from canary.core.increments import Side, SideOf
from canary.core.series import NoData, Series, Unavailable
from canary.text.format import format_latency

LE = "le"


@dataclass(frozen=True, slots=True)
class SlowThreshold:
    """A request that takes more than `seconds` is slow; `le` counts units of `unit` seconds."""

    seconds: float
    unit: float = 1.0

    def bound_pattern(self) -> str:
        """Return a regular expression for bounds within a factor of ten, so that less is read.

        >>> SlowThreshold(0.5).bound_pattern().split("|")[::2]
        ['0?[.]0[1-9][0-9]*', '0?[.][1-9][0-9]*', '[1-9][0-9]{0}(?:[.][0-9]+)?']
        """
        exponent = math.floor(math.log10(self.seconds / self.unit))
        return "|".join(_decade_pattern(exponent + step) for step in (-1, 0, 1))

    def format_bound(self, bound: float) -> str:
        """Format a bound in seconds or milliseconds: `500 ms`."""
        return format_latency(bound * self.unit)


def _decade_pattern(exponent: int) -> str:
    """Return a pattern for the numbers from 10^exponent to ten times that."""
    if exponent >= 0:
        plain = rf"[1-9][0-9]{{{exponent}}}(?:[.][0-9]+)?"
    else:
        plain = rf"0?[.]{'0' * (-exponent - 1)}[1-9][0-9]*"
    sign = "[+]?" if exponent >= 0 else "-"
    return rf"{plain}|[1-9](?:[.][0-9]+)?[eE]{sign}0*{abs(exponent)}"


def find_nearest_bound(
    series: Iterable[Series], label: str, side_of: SideOf, slow: SlowThreshold
) -> float | NoData:
    """Return the bound nearest to the threshold, in the exporter's unit; the larger of two as near.

    The bound is one of stable's (of the canary's if there is no stable), so that it stays the same
    when a canary starts. NoData if the canary has no such bound: the versions cannot be compared.
    """
    bounds: dict[Side, dict[str, set[float]]] = {side: {} for side in Side}
    for one in series:
        name = one.labels.get(label, "")
        side, bound = side_of(name), _parse_bound(one.labels.get(LE, ""))
        if side is not None and bound is not None:
            bounds[side].setdefault(name, set()).add(bound)
    stable, canary = (
        _find_shared_bounds(bounds[side].values()) for side in (Side.STABLE, Side.CANARY)
    )
    chosen_from = stable if bounds[Side.STABLE] else canary
    if not chosen_from:
        return NoData(
            "no bucket of the histogram has a bound near "
            f"{slow.format_bound(slow.seconds / slow.unit)} "
            "that all pods share: set `above` to one that it has, or add such a bucket"
        )
    wanted = slow.seconds / slow.unit
    best = min(chosen_from, key=lambda bound: (abs(math.log(bound / wanted)), -bound))
    if bounds[Side.CANARY] and best not in canary:
        return NoData(
            f"the canary's histogram has no bucket up to {slow.format_bound(best)} as stable's "
            "has: "
            "the two versions measure response times in other buckets"
        )
    return best


def _find_shared_bounds(bounds: Iterable[set[float]]) -> set[float]:
    every = list(bounds)
    return set.intersection(*every) if every else set()


def _parse_bound(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def select_bound(series: Iterable[Series], bound: float) -> tuple[Series, ...]:
    """Return the series that count the requests up to this bound."""
    return tuple(one for one in series if _parse_bound(one.labels.get(LE, "")) == bound)


def normalize_bounds(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return the series with one spelling per bound: `1` and `1.0` become one series.

    Prometheus 2 writes le="1" and Prometheus 3 le="1.0": after an upgrade one series ends where
    the other begins.
    """
    found: dict[Hashable, Series] = {}
    for one in series:
        if (bound := _parse_bound(one.labels.get(LE, ""))) is not None:
            one = replace(one, labels={**one.labels, LE: f"{bound:g}"})  # noqa: PLW2901 - its bound
        key = frozenset(one.labels.items())
        known = found.get(key)
        points = one.points if known is None else tuple(sorted({*known.points, *one.points}))
        found[key] = replace(one, points=points)
    return tuple(found.values())


def explain_missing_buckets(answer: NoData | Unavailable) -> NoData | Unavailable:
    """Return why there are no buckets; without buckets nobody knows how many requests were slow."""
    if isinstance(answer, Unavailable) or answer.partial:
        return answer
    return NoData(NO_BUCKETS, partial=True)


NO_BUCKETS = "the histogram has no buckets near this time: set `above` to a bound that it has"
