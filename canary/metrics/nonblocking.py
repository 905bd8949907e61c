"""One release's view of a shared source: a pass never waits for a slow monitoring system.

An answer that does not come at once is a `PendingAnswer`: the pass continues without metrics, no
query is sent until the answer is there, and then the same query gets it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from canary.core.rounds import collect_scrape_times, find_scrape_interval
from canary.core.series import FoundSeries, MetricAnswer, PendingAnswer, SeriesQuery
from canary.metrics.batch import PendingAnswers, QueryBatcher

_EARLY = 0.9
"""Scrapes jitter, and passes are late: so much of a step is enough."""
WAIT = 0.3
"""Seconds that a pass waits for an answer."""

Question = tuple[tuple[SeriesQuery, ...], float, float, float]


@dataclass(frozen=True, slots=True)
class _Late:
    question: Question
    asked: PendingAnswers

    @property
    def end(self) -> float:
        return self.question[2]


class NonBlockingSource:
    """See ReleaseMetrics: of one release, used by one pass at a time.

    `ready` is called, in another thread, when a late answer has come.
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
        """Seconds between two scrapes, as far as seen."""

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
        """Up to where the release has been judged: the canary's last scrape (seconds).

        What is written may be older than what was judged last; None: a new release.
        """
        known = self._judged
        self._judged = until if until is None or known is None else max(known, until)

    def settled(self, now: float) -> float:
        """See MetricSource; 0 while there is nothing new, so that nothing is asked."""
        if self._late is not None:
            return self._late.end if self._late.asked.done else 0.0
        settled, following = self._batch.settled(now), self._next()
        return settled if following is None or settled >= following else 0.0

    def due(self, now: float) -> float | None:
        """Seconds until there is something new to read; None: nothing has been read yet."""
        following = self._next()
        return None if following is None else max(0.0, following + self._batch.lag - now)

    def _next(self) -> float | None:
        """When the canary's next scrape is there: one scrape interval after its last one.

        Where that should have come already, one interval after the last answer. Whole seconds, as
        those are what is asked for. Never sooner than a step after the last answer.
        """
        if self._last is None:
            return None
        end, step = self._last
        if self._scrapes is None:
            return end + step
        last = self._judged if self._judged is not None else end
        expected = last + self._scrapes
        following = expected if expected > end else end + self._scrapes
        return float(ceil(max(following, end + _EARLY * step)))


def _between_scrapes(
    queries: Sequence[SeriesQuery], answers: Mapping[str, MetricAnswer]
) -> float | None:
    raw = (answers.get(one.key) for one in queries if one.raw)
    answer = next((one for one in raw if isinstance(one, FoundSeries)), None)
    return find_scrape_interval(collect_scrape_times(answer.series)) if answer else None
