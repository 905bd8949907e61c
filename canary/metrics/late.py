"""Corrects samples that appear after their time was read, and adapts the delay. Thread-safe.

Prometheus stores a scrape under the time at which it began, but shows it once it has ended. A read
of a time before all its scrapes have ended misses their samples, and no later read would count
them. Therefore, for each end that was read, the last known scrape of each target is kept. A sample
that was not known then is moved right after that end, once, and later reads wait longer. Example:
read up to 10.0, with a pod known up to 4.8; its scrape of 9.8 appears later and is counted at
10.001.
"""

import threading
from bisect import bisect_right
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Final

from canary.core.rounds import target_key
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series

SHORTEST: Final = 0.3
"""Seconds: the duration of a scrape of a few hundred lines, with a margin."""
LONGEST: Final = 5.0
_CALM: Final = 600.0
"""Seconds without a late sample after which the delay is reduced."""
_KEPT: Final = 8
"""Number of ends of ranges kept per query."""
_AFTER: Final = 0.001

_Known = dict[Hashable, float]
"""Per target, the time of its last readable scrape."""
_BACKWARDS = (
    "the newest sample is older than the newest one of an earlier answer; "
    "check whether several Prometheus servers share one address"
)


class LateSampleCorrector:
    """Tracks the last reads, and the time from a scrape's start until it can be read (`lag`)."""

    def __init__(self, shortest: float = SHORTEST, longest: float = LONGEST) -> None:
        self._shortest = shortest
        self._longest = longest
        self._lag = shortest
        self._late_at = float("-inf")
        self._lock = threading.Lock()
        self._reads: dict[Hashable, dict[float, _Known]] = {}

    @property
    def lag(self) -> float:
        """Return the delay in seconds."""
        return self._lag

    def corrected(self, question: Hashable, end: float, answer: MetricAnswer) -> MetricAnswer:
        """Return the answer for a range up to `end` (seconds), with late samples moved."""
        if not isinstance(answer, FoundSeries) or not answer.series:
            return answer
        known = _known(answer)
        with self._lock:
            reads = self._reads.setdefault(question, {})
            if _older(known, reads, end):
                return NoData(_BACKWARDS, partial=True)
            before = {at: one for at, one in reads.items() if at < end}
            series = tuple(_moved(one, before) for one in answer.series)
            self._adapt(
                end, late=any(a is not b for a, b in zip(series, answer.series, strict=True))
            )
            reads.setdefault(end, known)
            for old in sorted(reads)[:-_KEPT]:
                del reads[old]
        return replace(answer, series=series)

    def forget(self, before: float) -> None:
        """Drop queries that were not sent since (seconds)."""
        with self._lock:
            for question in [q for q, reads in self._reads.items() if max(reads) < before]:
                del self._reads[question]

    def _adapt(self, now: float, *, late: bool) -> None:
        if late:
            self._lag = min(2 * self._lag, self._longest)
            self._late_at = now
        elif now - self._late_at > _CALM and self._lag > self._shortest:
            self._lag = max(self._lag / 2, self._shortest)
            self._late_at = now


def _known(answer: FoundSeries) -> _Known:
    known: _Known = {}
    for one in answer.series:
        target, last = target_key(one.labels), one.points[-1][0]
        known[target] = max(last, known.get(target, last))
    return known


def _older(known: _Known, reads: Mapping[float, _Known], end: float) -> bool:
    """Return whether an earlier read, of an earlier end, knew later scrapes of every target."""
    last = max((at for at in reads if at <= end), default=None)
    if last is None:
        return False
    common = [(reads[last][one], now) for one, now in known.items() if one in reads[last]]
    return bool(common) and all(now < before for before, now in common)


def _moved(series: Series, reads: Mapping[float, _Known]) -> Series:
    """Return the series with its late samples right after the end that was read without them."""
    target, points = target_key(series.labels), series.points
    late: dict[float, float] = {}
    for end, known in reads.items():
        if target not in known or points[-1][0] <= known[target]:
            continue
        first = bisect_right(points, known[target], key=_time)
        last = bisect_right(points, end, first, key=_time)
        late |= {t: end for t, _ in points[first:last] if end > late.get(t, 0)}
    if not late:
        return series
    moved = {late[t] + _AFTER if t in late else t: value for t, value in points}
    return replace(series, points=tuple(sorted(moved.items())))


def _time(point: tuple[float, float]) -> float:
    return point[0]
