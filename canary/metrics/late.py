"""Values that come after they were read, and how long to wait so that they do not. Thread-safe.

Prometheus files a scrape under the time at which it began, and shows it once it has ended. Who
reads a time before all its scrapes have ended counts too little there, and what is added later is
in no interval at all. So what was read at the end of a range is remembered: a range that begins
there later is given the same value, and if it has changed meanwhile, reading waits longer.
"""

import threading
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from canary.core.series import Found, MetricAnswer, Series

SHORTEST: Final = 0.3
"""Seconds: what a scrape of a few hundred lines takes, and some."""
LONGEST: Final = 5.0
_CALM: Final = 600.0
"""Seconds without a late value after which waiting becomes shorter again."""
_KEPT: Final = 8
"""Ends of ranges that are remembered, per question."""

_Values = dict[tuple[tuple[str, str], ...], float]


class Latecomers:
    """What was read last, and how long a scrape may take until its values can be read (`lag`)."""

    def __init__(self, shortest: float = SHORTEST, longest: float = LONGEST) -> None:
        self._shortest = shortest
        self._longest = longest
        self._lag = shortest
        self._late_at = float("-inf")
        self._lock = threading.Lock()
        self._ends: dict[Hashable, dict[float, _Values]] = {}

    @property
    def lag(self) -> float:
        """Seconds."""
        return self._lag

    def corrected(self, question: Hashable, end: float, answer: MetricAnswer) -> MetricAnswer:
        """The answer to a question about a range up to `end` (seconds), as it was known before."""
        if not isinstance(answer, Found) or not answer.series:
            return answer
        with self._lock:
            ends = self._ends.setdefault(question, {})
            series, late = zip(*(_as_read(one, ends, end) for one in answer.series), strict=True)
            self._adapt(end, late=any(late))
            values = {_key(one): one.points[-1][1] for one in series if one.points[-1][0] == end}
            ends[end] = values | ends.get(end, {})
            for old in sorted(ends)[:-_KEPT]:
                del ends[old]
        return Found(tuple(series))

    def forget(self, before: float) -> None:
        """Drops questions that nobody has asked since (seconds)."""
        with self._lock:
            for question in [q for q, ends in self._ends.items() if max(ends) < before]:
                del self._ends[question]

    def _adapt(self, now: float, *, late: bool) -> None:
        if late:
            self._lag = min(2 * self._lag, self._longest)
            self._late_at = now
        elif now - self._late_at > _CALM and self._lag > self._shortest:
            self._lag = max(self._lag / 2, self._shortest)
            self._late_at = now


def _as_read(series: Series, ends: dict[float, _Values], end: float) -> tuple[Series, bool]:
    """The series with the values that were read before, and whether one has changed."""
    key, late, points = _key(series), False, []
    for at, value in series.points:
        known = ends.get(at, {}).get(key, value) if at < end else value
        late = late or known != value
        points.append((at, known))
    return replace(series, points=tuple(points)), late


def _key(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(series.labels.items()))
