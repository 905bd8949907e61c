"""Samples that come after they were read, and how long to wait so that they do not. Thread-safe.

Prometheus files a scrape under the time at which it began, and shows it once it has ended. Who
reads a time before all its scrapes have ended has judged that time without them: what they have
counted would be in no round at all. So it is remembered up to which scrape each target was known
when an end was read. A sample that was not known then comes in right after that end, once, and
reading waits longer. Example: read up to 10.0, a pod known up to 4.8; its scrape of 9.8 appears
later, and counts at 10.001.
"""

import threading
from bisect import bisect_right
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Final

from canary.core.rounds import target_key
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series

SHORTEST: Final = 0.3
"""Seconds: what a scrape of a few hundred lines takes, and some."""
LONGEST: Final = 5.0
_CALM: Final = 600.0
"""Seconds without a late sample after which waiting becomes shorter again."""
_KEPT: Final = 8
"""Ends of ranges that are remembered, per question."""
_AFTER: Final = 0.001

_Known = dict[Hashable, float]
"""Per target, the time of its last scrape that could be read."""
_BACKWARDS = (
    "the monitoring goes backwards: its newest sample is older than the one that it had before; "
    "do several Prometheus answer at one address?"
)


class LateSampleCorrector:
    """What was read last, and how long a scrape may take until its values can be read (`lag`)."""

    def __init__(self, shortest: float = SHORTEST, longest: float = LONGEST) -> None:
        self._shortest = shortest
        self._longest = longest
        self._lag = shortest
        self._late_at = float("-inf")
        self._lock = threading.Lock()
        self._reads: dict[Hashable, dict[float, _Known]] = {}

    @property
    def lag(self) -> float:
        """Seconds."""
        return self._lag

    def corrected(self, question: Hashable, end: float, answer: MetricAnswer) -> MetricAnswer:
        """The raw answer to a question about a range up to `end` (seconds), late samples moved."""
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
        """Drops questions that nobody has asked since (seconds)."""
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
    """Whether every target was known further than now, when less had been asked for."""
    last = max((at for at in reads if at <= end), default=None)
    if last is None:
        return False
    common = [(reads[last][one], now) for one, now in known.items() if one in reads[last]]
    return bool(common) and all(now < before for before, now in common)


def _moved(series: Series, reads: Mapping[float, _Known]) -> Series:
    """The series, its late samples right after the end that was read without them."""
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
