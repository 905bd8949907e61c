"""One release's view of a shared source: a pass never waits for a slow monitoring system.

An answer that does not come at once is left to come: the pass is told to go on without
(`LateError`), no metrics are read until it is there, and then the same question has its answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from canary.core.series import MetricAnswer, SeriesQuery
from canary.errors import TransientError
from canary.metrics.batch import Asked, Batch

WAIT = 0.3
"""Seconds that a pass waits for an answer."""

Question = tuple[tuple[SeriesQuery, ...], float, float, float]


class LateError(TransientError):
    """The monitoring has not answered yet: pass again at once, without asking it."""


@dataclass(frozen=True, slots=True)
class _Late:
    question: Question
    asked: Asked

    @property
    def end(self) -> float:
        return self.question[2]


class Patient:
    """A MetricSource for one release, used by one pass at a time.

    `ready` is called, in another thread, when a late answer has come.
    """

    def __init__(self, batch: Batch, ready: Callable[[], None], wait: float = WAIT) -> None:
        self._batch = batch
        self._ready = ready
        self._wait = wait
        self._late: _Late | None = None
        self._last: tuple[float, float] | None = None
        """(end, step) of the last answer."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource; raises LateError."""
        question = (tuple(queries), start, end, step)
        late, self._late = self._late, None
        asked = late.asked if late and late.question == question else None
        asked = asked or self._batch.ask(queries, start, end, step)
        if not asked.wait(self._wait):
            self._late = _Late(question, asked)
            asked.then(self._ready)
            raise LateError("the monitoring has not answered yet", retry_after=0.0)
        self._last = end, step
        return asked.answers()

    def settled(self, now: float) -> float:
        """See MetricSource; 0 while an answer is awaited, so that nothing is asked."""
        if self._late is None:
            return self._batch.settled(now)
        return self._late.end if self._late.asked.done else 0.0

    def due(self, now: float) -> float | None:
        """Seconds until there is something new to read; None: nothing has been read yet."""
        if self._last is None:
            return None
        end, step = self._last
        return max(0.0, end + step + self._batch.lag - now)
