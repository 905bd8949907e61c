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
from math import inf
from typing import Final

from canary.core.rounds import target_key
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series

SHORTEST: Final = 0.3
"""Seconds: the duration of a scrape of a few hundred lines, with a margin."""
LONGEST: Final = 5.0
_CALM: Final = 600.0
"""Seconds without a late sample after which the delay is reduced."""
_KEPT: Final = 8
"""Number of ends of ranges kept per target: other targets are read at other times."""
_AFTER: Final = 0.001

_Reads = dict[float, float]
"""Per end that was read, the time of the target's last readable scrape."""
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
        self._reads: dict[Hashable, dict[Hashable, _Reads]] = {}
        """Per query and target."""

    @property
    def lag(self) -> float:
        """Return the delay in seconds."""
        return self._lag

    def corrected(self, question: Hashable, end: float, answer: MetricAnswer) -> MetricAnswer:
        """Return the answer for a range up to `end` (seconds), with late samples moved."""
        if not isinstance(answer, FoundSeries) or not answer.series:
            return answer
        known = _last_scrapes(answer)
        with self._lock:
            reads = self._reads.setdefault(question, {})
            if _knew_later_scrapes(known, reads, end):
                return NoData(_BACKWARDS, partial=True)
            series = tuple(
                _move_late_samples(one, reads.get(target_key(one.labels), {}), end)
                for one in answer.series
            )
            self._adapt_lag(
                end, late=any(a is not b for a, b in zip(series, answer.series, strict=True))
            )
            for target, last in known.items():
                mine = reads.setdefault(target, {})
                mine.setdefault(end, last)
                if len(mine) > _KEPT:
                    del mine[min(mine)]
        return replace(answer, series=series)

    def forget(self, before: float) -> None:
        """Drop targets that were not read since (seconds), and queries without any."""
        with self._lock:
            for question, reads in [*self._reads.items()]:
                for target in [one for one, mine in reads.items() if max(mine) < before]:
                    del reads[target]
                if not reads:
                    del self._reads[question]

    def _adapt_lag(self, now: float, *, late: bool) -> None:
        if late:
            self._lag = min(2 * self._lag, self._longest)
            self._late_at = now
        elif now - self._late_at > _CALM and self._lag > self._shortest:
            self._lag = max(self._lag / 2, self._shortest)
            self._late_at = now


def _last_scrapes(answer: FoundSeries) -> dict[Hashable, float]:
    """Return the time of each target's last readable scrape."""
    known: dict[Hashable, float] = {}
    for one in answer.series:
        target, last = target_key(one.labels), one.points[-1][0]
        known[target] = max(last, known.get(target, last))
    return known


def _knew_later_scrapes(
    known: Mapping[Hashable, float], reads: Mapping[Hashable, _Reads], end: float
) -> bool:
    """Return whether earlier reads, of earlier ends, knew later scrapes of every target."""
    common = [
        (mine[max(ends)], now)
        for target, now in known.items()
        if (mine := reads.get(target)) and (ends := [at for at in mine if at <= end])
    ]
    return bool(common) and all(now < before for before, now in common)


def _move_late_samples(series: Series, reads: _Reads, before: float) -> Series:
    """Return the series with its late samples right after the end that was read without them."""
    points = series.points
    late: dict[float, float] = {}
    for end, known in reads.items():
        if end >= before or points[-1][0] <= known:
            continue
        first = bisect_right(points, (known, inf))
        last = bisect_right(points, (end, inf), first)
        late |= {t: end for t, _ in points[first:last] if end > late.get(t, 0)}
    if not late:
        return series
    moved = {late[t] + _AFTER if t in late else t: value for t, value in points}
    return replace(series, points=tuple(sorted(moved.items())))
