"""The metric source `prometheus`: prometheus-api-client, made safe (the only importer of it)."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)
from urllib3.util.retry import Retry

from canary.core.increments import Grid
from canary.core.series import (
    HISTORY_STEP,
    NOT_NUMBERS,
    Found,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.metrics.circuit_breaker import CircuitBreaker
from canary.metrics.http import (
    BoundedAdapter,
    BrokenOffError,
    Credentials,
    PostingSession,
    TooLargeError,
    root_cause,
)
from canary.metrics.native import IS_NATIVE, native_of, refusal
from canary.metrics.promql import promql, range_selector, vector_selector

_log = logging.getLogger(__name__)

MAX_POINTS = 11_000
"""Prometheus refuses a range of more points per series."""
MAX_SERIES = 20_000
"""No service has so many; a selector without its conditions on labels has."""
_DENIED = frozenset({401, 403})
_TRANSIENT = frozenset({429, 502, 503, 504})
_STYLE_HINT = "PromQL info:"
_NO_MATRIX = "expected a matrix of series; does the query give numbers over time?"

Matrix = Mapping[tuple[tuple[str, str], ...], list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """Where Prometheus is and how to ask; times in seconds.

    `lag` is how long a scrape may take until its values can be read; QueryBatcher measures it.
    """

    url: str
    connect_timeout: float = 2.0
    read_timeout: float = 10.0
    attempts: int = 3
    lag: float = 2.0
    bearer_token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    insecure: bool = False
    failures: int = 3
    rest: float = 15.0
    max_bytes: int = 64 << 20


class _NotAskedError(Exception):
    """No use in asking further now; the text says why."""


class _TransientError(_NotAskedError):
    """May work in a moment."""


class _RefusedError(Exception):
    """The server is there and does not answer this question, now or later."""


class _PartialError(Exception):
    """There is an answer, but not all of it."""


class _TooMuchError(_PartialError):
    """The answer is larger than what is read."""


class _NativeError(Exception):
    """The series are native histograms."""


class Prometheus:
    """One Prometheus (or Thanos, Mimir, VictoriaMetrics): share one object per address."""

    def __init__(
        self, options: PrometheusOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._breaker = CircuitBreaker(options.failures, options.rest, clock)
        self._closing = threading.Event()
        self._client = _client(options)

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource; after one time-out or outage the rest of the queries is not tried."""
        grid = Grid(math.floor(start), math.floor(end), step)
        answers: dict[str, MetricAnswer] = {}
        down: Unavailable | None = None
        for query in queries:
            try:
                answers[query.key] = down or self._answer(query, grid)
            except _NotAskedError as error:
                down = answers[query.key] = Unavailable(f"{self._options.url}: {error}")
        return answers

    def settled(self, now: float) -> float:
        """Whole seconds; younger values may still be on their way through a scrape."""
        return float(math.floor(now - self._options.lag))

    def close(self) -> None:
        """Ends waiting between attempts and closes the connections."""
        self._closing.set()
        self._client.close()

    def _answer(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        try:
            if query.raw:
                found = _found([*self._history(query, grid), *self._samples(query, grid)])
                return self._native(query.selector, grid, found)
            text = promql(query)
            return _found([self._asked(partial(self._range, text, one)) for one in _slices(grid)])
        except ValueError as error:
            return Unavailable(f"the query {query.key!r} cannot be asked: {error}")
        except _RefusedError as error:
            return Unavailable(f"{self._options.url}: {error}")
        except _PartialError as error:
            why = f"{self._options.url} answered only in part: {error}"
            return NoData(why, partial=True, too_large=isinstance(error, _TooMuchError))
        except _NativeError:
            return NoData(IS_NATIVE, partial=True)

    def _native(self, selector: Selector, grid: Grid, found: MetricAnswer) -> MetricAnswer:
        """The answer, or that a native histogram is there instead of this classic one."""
        native = native_of(selector)
        if native is None or not isinstance(found, NoData) or found.partial:
            return found
        now = Grid(grid.end, grid.end, 1.0)
        there = self._asked(partial(self._range, f"count({vector_selector(native)})", now))
        return NoData(refusal(selector, native), partial=True) if there else found

    def _samples(self, query: SeriesQuery, grid: Grid) -> Iterator[Matrix]:
        """Every sample from the grid's start to its end, as it was scraped."""
        for one in _slices(grid):
            seconds = math.ceil(one.end - one.start) + math.ceil(grid.step)
            text = range_selector(query.selector, seconds)
            yield self._asked(partial(self._instant, text, min(one.end + grid.step, grid.end)))

    def _history(self, query: SeriesQuery, grid: Grid) -> Iterator[Matrix]:
        """What was before, in coarse steps; nothing where that would be too much to read."""
        if not query.history:
            return
        end = grid.start // HISTORY_STEP * HISTORY_STEP
        start = (grid.start - query.history) // HISTORY_STEP * HISTORY_STEP
        text = vector_selector(query.selector)
        try:
            yield self._asked(partial(self._range, text, Grid(start, end, HISTORY_STEP)))
        except _PartialError as error:
            _log.warning("%s: judged without what was before: %s", query.key, error)

    def _asked(self, question: Callable[[], list[Any]]) -> Matrix:
        if not self._breaker.admits():
            raise _NotAskedError(
                f"failed {self._options.failures} times in a row, "
                f"will be tried again in {self._breaker.open_for:.0f} s"
            )
        retrying = Retrying(
            stop=stop_after_attempt(self._options.attempts),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception_type(_TransientError),
            sleep=sleep_using_event(self._closing),
            reraise=True,
        )
        try:
            answer = retrying(self._once, question)
        except _NotAskedError:
            self._breaker.failed()
            raise
        except (_RefusedError, _PartialError, _NativeError):
            self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return answer

    def _range(self, text: str, grid: Grid) -> list[Any]:
        start, end = _moment(grid.start), _moment(grid.end)
        return list(self._client.custom_query_range(text, start, end, f"{grid.step:g}"))

    def _instant(self, text: str, time: float) -> list[Any]:
        return list(self._client.custom_query(text, {"time": f"{time:.3f}"}))

    def _once(self, question: Callable[[], list[Any]]) -> Matrix:
        try:
            answer = question()
        except requests.Timeout as error:
            raise _NotAskedError(_timed_out(error, self._options)) from error
        except requests.exceptions.SSLError as error:
            raise _RefusedError(f"TLS failed (check the CA file): {root_cause(error)}") from error
        except BrokenOffError as error:
            raise _TransientError(str(error)) from error
        except requests.ConnectionError as error:
            raise _TransientError(f"cannot connect: {root_cause(error)}") from error
        except TooLargeError as error:
            raise _TooMuchError(f"{error}; give the metric more conditions on labels") from error
        except requests.RequestException as error:
            raise _NotAskedError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise _RefusedError(_NO_MATRIX) from error
        if len(answer) > MAX_SERIES:
            raise _TooMuchError(
                f"{len(answer):,} series, of which at most {MAX_SERIES:,} are read: "
                "give the metric more conditions on labels"
            )
        return _matrix(answer)


def _client(options: PrometheusOptions) -> PrometheusConnect:
    session = PostingSession()
    session.verify = not options.insecure
    if options.ca_file is not None and not options.insecure:
        session.verify = str(options.ca_file)
    session.hooks["response"].append(_check)
    url = options.url.rstrip("/")
    client = PrometheusConnect(
        url=url,
        session=session,
        auth=Credentials(options.bearer_token_file, options.username, options.password_file),
        timeout=(options.connect_timeout, options.read_timeout),
        retry=Retry(0),
        method="POST",
    )
    session.mount(url, BoundedAdapter(options.max_bytes, options.read_timeout))
    return client


def _check(response: requests.Response, *_: object, **__: object) -> None:
    """Response hook: the client would drop the warnings and hide the server's own message."""
    status = response.status_code
    if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
        raise _RefusedError(
            f"redirects to {response.headers.get('Location')!r}; configure that address instead"
        )
    envelope = _json(response)
    if status >= 500 or status in _TRANSIENT:  # noqa: PLR2004  # HTTP's server errors
        kind = _TransientError if status in _TRANSIENT else _NotAskedError
        raise kind(f"HTTP {status}: {_message(envelope, response)}")
    if status in _DENIED:
        hint = "are the credentials there, and right? (--prometheus-token-file)"
        raise _RefusedError(f"HTTP {status}: {_message(envelope, response)}; {hint}")
    if status != requests.codes.ok:
        raise _RefusedError(f"HTTP {status}: {_message(envelope, response)}")
    if envelope is None or envelope.get("status") != "success":
        raise _RefusedError(
            f"expected Prometheus' JSON, got {response.headers.get('Content-Type')}: "
            f"{response.text[:80]!r}; is this the address of a Prometheus API?"
        )
    if why := missing_parts(envelope):
        raise _PartialError(why)


def missing_parts(envelope: Mapping[str, Any]) -> str:
    """Why an answer is not whole; empty: it is.

    Warnings mean missing parts (Thanos, Mimir, remote read); style hints do not. VictoriaMetrics'
    cluster says `isPartial` instead when one of its storage nodes is away.
    """
    if envelope.get("isPartial"):
        return "isPartial is true: not every storage node has answered"
    notes = [*(envelope.get("warnings") or ()), *(envelope.get("infos") or ())]
    return "; ".join(str(n) for n in notes if not str(n).startswith(_STYLE_HINT))[:300]


def _json(response: requests.Response) -> dict[str, Any] | None:
    try:
        envelope = response.json()
    except ValueError:
        return None
    return envelope if isinstance(envelope, dict) else None


def _message(envelope: Mapping[str, Any] | None, response: requests.Response) -> str:
    if envelope is not None and "error" in envelope:
        return str(envelope["error"])[:300]
    return " ".join(response.text[:80].split()) or str(response.reason)


def _timed_out(error: requests.Timeout, options: PrometheusOptions) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {options.connect_timeout:g} s"
    return f"no answer within {options.read_timeout:g} s"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _slices(grid: Grid) -> list[Grid]:
    times = grid.times()
    pieces = (times[i : i + MAX_POINTS] for i in range(0, len(times), MAX_POINTS))
    return [Grid(piece[0], piece[-1], grid.step) for piece in pieces]


def _matrix(answer: object) -> Matrix:
    """The answer as {labels: points}.

    Raises _NativeError when it has histograms, and _RefusedError when it is not a matrix.
    """
    try:
        if any("histograms" in row for row in answer):  # type: ignore[attr-defined]  # as below
            raise _NativeError
        return {_labels(row["metric"]): _points(row["values"]) for row in answer}  # type: ignore[attr-defined]  # that is what the except is for
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _RefusedError(_NO_MATRIX) from error


def _labels(metric: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in metric.items() if item[0] != "__name__"))


def _points(values: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    return [(float(t), float(v)) for t, v in values]


def _found(matrices: Sequence[Matrix]) -> MetricAnswer:
    """Merges the slices by labels; what is not a finite number is absent, and said."""
    merged: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for labels, points in (item for matrix in matrices for item in matrix.items()):
        known = merged.setdefault(labels, [])
        # Prometheus 2 gives a range's first moment as well, which is the last of the range before.
        last = known[-1][0] if known else -math.inf
        known.extend(point for point in points if point[0] > last)
    if not merged:
        return NoData("the query works and matches no series in this range")
    finite = {
        labels: tuple(p for p in points if math.isfinite(p[1])) for labels, points in merged.items()
    }
    series = tuple(Series(dict(labels), points) for labels, points in finite.items() if points)
    odd = tuple(dict(one) for one, points in merged.items() if not math.isfinite(points[-1][1]))
    return Found(series, odd) if series else NoData(NOT_NUMBERS, partial=True)
