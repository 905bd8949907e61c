"""The metric source `prometheus`: runs queries, returns series or why there are none."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter

from canary.core.increments import Grid
from canary.core.series import (
    HISTORY_STEP,
    NOT_NUMBERS,
    FoundSeries,
    MetricAnswer,
    NoData,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.metrics.circuit_breaker import CircuitBreaker
from canary.metrics.native import NATIVE, explain_native, native_of
from canary.metrics.promql import format_promql, range_selector, vector_selector
from canary.metrics.query_api import (
    NoAnswerError,
    PartialAnswerError,
    Points,
    PrometheusClient,
    PrometheusOptions,
    RefusedQueryError,
    Row,
    ServerDownError,
    TooLargeAnswerError,
)

__all__ = ["MAX_POINTS", "Prometheus", "PrometheusOptions"]

_log = logging.getLogger(__name__)

MAX_POINTS = 11_000
"""Maximum number of points per series; Prometheus rejects a range with more."""
PROBE = 2.0
"""Seconds within which a working server answers the simplest query."""
_MOST_ASKERS = 10_000


class _NativeError(Exception):
    """The series are native histograms."""


class Prometheus:
    """A Prometheus (or Thanos, Mimir, VictoriaMetrics); share one object per address.

    An unanswered query counts as a failure of its asker (see SeriesQuery), and of the server only
    if the server does not answer a probe either. `clock` gives monotonic seconds.
    """

    def __init__(
        self, options: PrometheusOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._client = PrometheusClient(options)
        own = min(options.own_timeout, options.read_timeout)
        self._own = PrometheusClient(
            replace(options, read_timeout=own, max_bytes=options.own_bytes, max_series=1)
        )
        probe = min(PROBE, options.read_timeout)
        self._probe = PrometheusClient(replace(options, read_timeout=probe, attempts=1))
        self._clock = clock
        self._server = CircuitBreaker(options.failures, options.rest, clock)
        self._askers: dict[tuple[str, bool], CircuitBreaker] = {}
        self._lock = threading.Lock()

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource; after a timeout or outage the remaining queries are not sent."""
        grid = Grid(math.floor(start), math.floor(end), step)
        answers: dict[str, MetricAnswer] = {}
        down: Unavailable | None = None
        for query in queries:
            try:
                answers[query.key] = down or self._read_answer(query, grid)
            except (ServerDownError, NoAnswerError) as error:
                nobody = isinstance(error, ServerDownError)
                down = Unavailable(f"{self._options.url}: {error}", server_down=nobody)
                answers[query.key] = down
        return answers

    def final_until(self, now: float) -> float:
        """Return the time in whole seconds; a scrape of newer values may still be running."""
        return float(math.floor(now - self._options.lag))

    def close(self) -> None:
        """End waiting between attempts and close the connections."""
        for client in (self._client, self._own, self._probe):
            client.close()

    def _read_answer(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        try:
            if query.raw:
                found = _merge_slices(
                    [*self._read_history(query, grid), *self._read_samples(query, grid)], query
                )
                return self._check_native(query, grid, found)
            ask = partial(self._client_for(query).query_range, format_promql(query))
            return _merge_slices(
                [self._ask_server(query, partial(ask, one)) for one in _slice_grid(grid)], query
            )
        except ValueError as error:
            return Unavailable(f"the query {query.key!r} cannot be sent: {error}")
        except RefusedQueryError as error:
            return Unavailable(f"{self._options.url}: {error}")
        except PartialAnswerError as error:
            return self._reject_partial(query, error)
        except _NativeError:
            return NATIVE

    def _reject_partial(self, query: SeriesQuery, error: PartialAnswerError) -> NoData:
        """Reject a partial answer: half of the pods would look like too little traffic."""
        too_large = isinstance(error, TooLargeAnswerError)
        remedy = "; give the metric more conditions on labels" if too_large else ""
        if too_large and self._client_for(query) is self._own:
            remedy = "; expected one value: put sum(…) or max(…) around the expression"
        why = f"{self._options.url} returned a partial answer: {error}{remedy}"
        return NoData(why, partial=True, splittable=too_large)

    def _client_for(self, query: SeriesQuery) -> PrometheusClient:
        """Return the client; a user's own expression has narrower limits."""
        return self._own if query.promql is not None and query.asker else self._client

    def _check_native(self, query: SeriesQuery, grid: Grid, found: MetricAnswer) -> MetricAnswer:
        """Return the answer, or that a native histogram exists instead of this classic one."""
        native = None if query.also else native_of(query.selector)
        if native is None or not isinstance(found, NoData) or found.partial:
            return found
        text = f"count({vector_selector(native)})"
        there = self._ask_server(query, partial(self._client.query, text, grid.end))
        return NoData(explain_native(query.selector, native), partial=True) if there else found

    def _read_samples(self, query: SeriesQuery, grid: Grid) -> Iterator[list[Row]]:
        """Return every sample from the grid's start to its end, as scraped."""
        for one in _slice_grid(grid):
            seconds = math.ceil(one.end - one.start) + math.ceil(grid.step)
            text = range_selector(query.selector, seconds, query.also)
            end = min(one.end + grid.step, grid.end)
            yield self._ask_server(query, partial(self._client.query, text, end))

    def _read_history(self, query: SeriesQuery, grid: Grid) -> Iterator[list[Row]]:
        """Return earlier values in coarse steps; none if there are too many to read."""
        if not query.history:
            return
        end = grid.start // HISTORY_STEP * HISTORY_STEP
        start = (grid.start - query.history) // HISTORY_STEP * HISTORY_STEP
        text, coarse = vector_selector(query.selector), Grid(start, end, HISTORY_STEP)
        try:
            yield self._ask_server(query, partial(self._client.query_range, text, coarse))
        except PartialAnswerError as error:
            _log.warning("%s: analyzed without earlier values: %s", query.key, error)

    def _ask_server(self, query: SeriesQuery, question: Callable[[], list[Row]]) -> list[Row]:
        asker = self._breaker_of(query)
        if not self._server.allows_query():
            raise ServerDownError(self._will_be_tried(self._server, "failed"))
        if asker is not None and not asker.allows_query():
            raise NoAnswerError(self._will_be_tried(asker, f"queries of {query.asker} failed"))
        try:
            rows = question()
        except ServerDownError:
            self._server.record_failure()
            raise
        except NoAnswerError as error:
            self._find_failed(asker, error)
            raise
        except (RefusedQueryError, PartialAnswerError):
            self._server.record_success()
            raise
        self._server.record_success()
        if asker is not None:
            asker.record_success()
        return rows

    def _find_failed(self, asker: CircuitBreaker | None, error: NoAnswerError) -> None:
        """Return whose failure it is: the server's if it answers no trivial query either."""
        try:
            self._probe.query("vector(1)")
        except (ServerDownError, NoAnswerError):
            self._server.record_failure()
            raise ServerDownError(str(error)) from error
        except (RefusedQueryError, PartialAnswerError):
            pass
        self._server.record_success()
        if asker is not None:
            asker.record_failure()

    def _breaker_of(self, query: SeriesQuery) -> CircuitBreaker | None:
        """Return the breaker's key; users' own expressions fail apart. None: no single asker."""
        if not query.asker:
            return None
        with self._lock:
            if len(self._askers) >= _MOST_ASKERS:
                self._askers.clear()
            own = query.asker, query.promql is not None
            options = self._options
            breaker = CircuitBreaker(options.failures, options.rest, self._clock)
            return self._askers.setdefault(own, breaker)

    def _will_be_tried(self, breaker: CircuitBreaker, what: str) -> str:
        return (
            f"{what} {self._options.failures} times in a row, "
            f"next attempt in {breaker.open_for:.0f} s"
        )


def _slice_grid(grid: Grid) -> list[Grid]:
    if (grid.end - grid.start) // grid.step < MAX_POINTS:
        return [grid]
    times = grid.times()
    pieces = (times[i : i + MAX_POINTS] for i in range(0, len(times), MAX_POINTS))
    return [Grid(piece[0], piece[-1], grid.step) for piece in pieces]


_VALUE = itemgetter(1)


def _merge_slices(answers: Sequence[Sequence[Row]], query: SeriesQuery) -> MetricAnswer:
    """Merge the slices by labels; values that are not finite are dropped and reported.

    Raises _NativeError when they have histograms.
    """
    merged: dict[tuple[tuple[str, str], ...], Points] = {}
    for row in (row for rows in answers for row in rows):
        if row.histogram:
            raise _NativeError
        labels = tuple(sorted(one for one in row.labels.items() if _is_kept(one[0], query)))
        known, points = merged.get(labels, ()), row.points
        if known:
            # Prometheus 2 includes a range's first moment, which is the last of the previous range.
            points = (*known, *(point for point in points if point[0] > known[-1][0]))
        merged[labels] = points
    if not merged:
        return NoData("the query succeeds but matches no series in this range")
    finite = {
        labels: points
        if math.isfinite(sum(map(_VALUE, points)))
        else tuple(point for point in points if math.isfinite(point[1]))
        for labels, points in merged.items()
    }
    series = tuple(Series(dict(labels), points) for labels, points in finite.items() if points)
    odd = tuple(dict(one) for one, points in merged.items() if not math.isfinite(points[-1][1]))
    return FoundSeries(series, odd) if series else NoData(NOT_NUMBERS, partial=True)


def _is_kept(label: str, query: SeriesQuery) -> bool:
    return label != "__name__" or bool(query.also)
