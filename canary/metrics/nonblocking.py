"""Reads a shared source for one release, without blocking on a slow monitoring system.

An answer that does not arrive at once is a `PendingAnswer`: the reconcile continues without
metrics, no query is sent until the answer has arrived, and then the same query returns it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from canary.core.rounds import collect_scrape_times, find_scrape_interval
from canary.core.series import FoundSeries, MetricAnswer, PendingAnswer, SeriesQuery
from canary.metrics.batch import EARLY, PendingAnswers, QueryBatcher

WAIT = 0.3
"""Seconds that a reconcile waits for an answer."""

Question = tuple[tuple[SeriesQuery, ...], float, float, float]


@dataclass(frozen=True, slots=True)
class _Late:
    question: Question
    asked: PendingAnswers

    @property
    def end(self) -> float:
        return self.question[2]


class NonBlockingSource:
    """See ReleaseMetrics: for one release, used by one reconcile at a time.

    `ready` is called, in another thread, when a late answer has arrived.
    """

    def __init__(self, batch: QueryBatcher, ready: Callable[[], None], wait: float = WAIT) -> None:
        self._batch = batch
        self._ready = ready
        self._wait = wait
        self._late: _Late | None = None
        self._last: tuple[float, float] | None = None
        """(end, step) of the last answer."""
        self._judged: float | None = None
        self._scrapes: float | None = None
        """Seconds between two scrapes, as observed."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer] | PendingAnswer:
        """See ReleaseMetrics."""
        question = (tuple(queries), start, end, step)
        late, self._late = self._late, None
        asked = late.asked if late and late.question == question else None
        asked = asked or self._batch.ask(queries, start, end, step)
        if not asked.wait(self._wait):
            self._late = _Late(question, asked)
            asked.then(self._ready)
            return PendingAnswer()
        answers = asked.answers()
        self._last = end, step
        self._scrapes = _between_scrapes(queries, answers) or self._scrapes
        return answers

    def judged(self, until: float | None) -> None:
        """Set the time (seconds) of the canary's last scrape that was analyzed.

        The stored value may be older than that scrape; None: a new release.
        """
        known = self._judged
        self._judged = until if until is None or known is None else max(known, until)

    def final_until(self, now: float) -> float:
        """See MetricSource; 0 while there is no new data, so that no query is sent."""
        if self._late is not None:
            return self._late.end if self._late.asked.done else 0.0
        settled, following = self._batch.final_until(now), self._next_scrape(now)
        return settled if following is None or settled >= following else 0.0

    def seconds_until_due(self, now: float) -> float | None:
        """Return the seconds until there is new data; None if nothing has been read yet."""
        following = self._next_scrape(now)
        return None if following is None else max(0.0, following + self._batch.lag - now)

    def _next_scrape(self, now: float) -> float | None:
        """Return when the canary's next scrape is due: one scrape interval after its last one.

        If that time has passed, one interval after the last answer. In whole seconds, like the
        queries, and at least one step after the last answer. None if nothing has been read yet, or
        if the clock was moved back: otherwise nothing would be read until it is there again.
        """
        if self._last is None or self._last[0] > now:
            return None
        end, step = self._last
        if self._scrapes is None:
            return end + step
        last = self._judged if self._judged is not None and self._judged <= now else end
        expected = last + self._scrapes
        following = expected if expected > end else end + self._scrapes
        return float(ceil(max(following, end + EARLY * step)))


def _between_scrapes(
    queries: Sequence[SeriesQuery], answers: Mapping[str, MetricAnswer]
) -> float | None:
    raw = (answers.get(one.key) for one in queries if one.raw)
    answer = next((one for one in raw if isinstance(one, FoundSeries)), None)
    return find_scrape_interval(collect_scrape_times(answer.series)) if answer else None
