"""The outside world as Protocols of at most four methods: the reconcile path knows nothing else.

`tests/world.py` implements them in memory, `canary.local` over processes on one machine, and a
cluster implements them over the API server. One contract test runs on each.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from canary.core.series import MetricAnswer, SeriesQuery


class Clock(Protocol):
    """The only place where time comes from."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class MetricSource(Protocol):
    """Reads counters and gauges on a grid of times."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """Answers for each query, by its `key`, at `start, start+step, …, ≤ end` (seconds).

        Never raises for a monitoring system that is down, slow, partial or wrong: that is the
        value `Unavailable(why)`; a query that works and finds nothing is `NoData(why)`.
        """
        ...

    def settled(self, now: float) -> float:
        """Latest time (seconds) whose values no longer change: later scrapes may still come in."""
        ...
