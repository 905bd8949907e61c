"""Client of Prometheus' HTTP query API, with limits; the only importer of prometheus-api-client.

One client for instant and range queries. Errors are classified by cause: the server, or this query.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
from canary.errors import CanaryError, drop_frames
from canary.http.addresses import EVERYWHERE, AddressRules
from canary.http.client import (
    AnswerTimeoutError,
    BrokenOffError,
    ConnectTimeoutError,
    HostUnreachableError,
    HttpError,
    Limits,
    ProxyRefusedError,
    TlsError,
    TooLargeError,
)
from canary.metrics.http import HttpAdapter, PostingSession
from canary.metrics.http_config import HttpConfig

Labels = Mapping[str, str]
Points = tuple[tuple[float, float], ...]

MAX_SERIES = 20_000
"""Maximum number of series: only a selector without label matchers has more."""
_DENIED = frozenset({401, 403})
_TRANSIENT = frozenset({429, 502, 503, 504})
_STYLE_HINT = "PromQL info:"
_LIMITED = "results truncated due to limit"
"""Prometheus' warning that there are more series than `limit`."""
OPERATOR_BYTES = 8 << 20
"""Maximum bytes of one answer in the operator: about 4,500 series of 5 min, scraped every 5 s.

Eight threads with one such answer each fit into its pod's memory.
"""
_LARGE = 1 << 20
"""Bytes: larger answers are decoded one at a time, to limit memory."""
_DECODING = threading.Lock()


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """Address and settings of Prometheus; times in seconds.

    `lag` is the time from a scrape's start until its values can be read; QueryBatcher measures it.
    `own_timeout`, `own_bytes` and one series are the limits of a user's own query.
    """

    url: str
    connect_timeout: float = 2.0
    read_timeout: float = 10.0
    attempts: int = 3
    lag: float = 2.0
    http: HttpConfig = field(default_factory=HttpConfig)
    addresses: AddressRules = EVERYWHERE
    name: str = ""
    """Name of the source in the file of --prometheus-config; empty if it has none."""
    failures: int = 3
    rest: float = 15.0
    max_bytes: int = 64 << 20
    max_series: int = MAX_SERIES
    own_timeout: float = 5.0
    own_bytes: int = 1 << 20


class QueryError(Exception):
    """A query without an answer."""


class ServerDownError(QueryError):
    """The server answers no query now; the message says why."""


class NoAnswerError(QueryError):
    """This query was not answered in time, or ended with an error of the server."""


class RefusedQueryError(QueryError):
    """The server rejects this query, and will reject it again."""


class NoPrometheusError(RefusedQueryError):
    """The server at this address is not a Prometheus."""


class PartialAnswerError(QueryError):
    """The answer is incomplete."""


class TooLargeAnswerError(PartialAnswerError):
    """The answer exceeds the limit."""


class _BusyError(NoAnswerError):
    """The query can be retried."""


class _UnreachableError(ServerDownError):
    """The query can be retried."""


@dataclass(frozen=True, slots=True)
class Row:
    """One series of an answer: times in seconds since the epoch, ascending."""

    labels: Labels
    points: Points
    histogram: bool = False
    """Whether its values are native histograms, which are not read."""


class PrometheusClient:
    """Thread-safe. Share one object per address and bounds: it keeps connections open."""

    def __init__(self, options: PrometheusOptions) -> None:
        self.url = options.url.rstrip("/")
        self.date: float | None = None
        """Time on the server's clock in its last answer, in seconds since the epoch."""
        self._options = options
        self._closing = threading.Event()
        self._client = self._open_session()

    def query(self, text: str, time: float | None = None) -> list[Row]:
        """Run an instant query at `time` (seconds) or now. Raises QueryError."""
        at = {} if time is None else {"time": f"{time:.3f}"}
        return self._read_rows(lambda: self._client.custom_query(text, self._build_bounds() | at))

    def query_range(self, text: str, grid: Grid) -> list[Row]:
        """Run a range query on a grid of whole seconds. Raises QueryError."""
        start, end = _to_datetime(grid.start), _to_datetime(grid.end)
        step = f"{grid.step:g}"
        return self._read_rows(
            lambda: self._client.custom_query_range(text, start, end, step, self._build_bounds())
        )

    def close(self) -> None:
        """End waiting between attempts and close the connections."""
        self._closing.set()
        self._client.close()

    def _build_bounds(self) -> dict[str, str]:
        """Return limits for Prometheus; one series above the limit shows that there are more."""
        timeout, series = self._options.read_timeout, self._options.max_series
        return {"timeout": f"{timeout:g}s", "limit": str(series + 1)}

    def _read_rows(self, call: Callable[[], Any]) -> list[Row]:
        retrying = Retrying(
            stop=stop_after_attempt(self._options.attempts),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception_type((_BusyError, _UnreachableError)),
            sleep=sleep_using_event(self._closing),
            reraise=True,
        )
        try:
            rows: list[Row] = retrying(self._read_once, call)
        except QueryError as error:
            raise drop_frames(error) from error.__cause__
        return rows

    def _read_once(self, call: Callable[[], Any]) -> list[Row]:
        try:
            rows = call()
        except (CanaryError, requests.RequestException) as error:
            raise _translate_error(error, self._options) from error
        except (KeyError, TypeError) as error:
            raise RefusedQueryError("expected series, found an answer without any") from error
        if not isinstance(rows, list) or not all(isinstance(one, Row) for one in rows):
            raise RefusedQueryError("expected series, found an answer of another kind")
        if len(rows) > (most := self._options.max_series):
            raise TooLargeAnswerError(f"expected at most {most:,} series, found more")
        return rows

    def _open_session(self) -> PrometheusConnect:
        options = self._options
        read = options.read_timeout
        session = PostingSession()
        session.trust_env = False
        session.hooks["response"].append(self._decode_response)
        client = PrometheusConnect(url=self.url, session=session, retry=Retry(0), method="POST")
        limits = Limits(options.connect_timeout, read, read, options.max_bytes)
        session.mount(self.url, HttpAdapter(self.url, options.http, options.addresses, limits))
        return client

    def _decode_response(
        self, response: requests.Response, *_: object, **__: object
    ) -> requests.Response:
        """Response hook: keeps warnings and the server's message, which the library drops."""
        if 300 <= response.status_code < 400:  # noqa: PLR2004  # HTTP's redirects
            location = response.headers.get("Location")
            raise RefusedQueryError(f"redirects to {location!r}; configure that address instead")
        self.date = http_date(response.headers) or self.date
        if len(response.content) <= _LARGE:
            return DecodedResponse(response)
        with _DECODING:
            return DecodedResponse(response)


def _translate_error(error: Exception, options: PrometheusOptions) -> QueryError:
    """Classify the error by cause; the first match wins."""
    connect, read = options.connect_timeout, options.read_timeout
    cause, text = getattr(error, "cause", ""), str(error)
    most = f"expected an answer of at most {options.max_bytes:,} bytes, found more"
    kinds: tuple[tuple[type[HttpError], type[QueryError], str], ...] = (
        (ConnectTimeoutError, ServerDownError, f"no connection within {connect:g} s"),
        (AnswerTimeoutError, NoAnswerError, f"no answer within {read:g} s"),
        (TlsError, RefusedQueryError, f"TLS failed (check ca_file and cert_file): {cause}"),
        (ProxyRefusedError, _UnreachableError, f"the proxy does not connect: {cause}"),
        (BrokenOffError, _BusyError, f"the answer ended early: {cause}"),
        (HostUnreachableError, _UnreachableError, f"cannot connect: {cause}"),
        (TooLargeError, TooLargeAnswerError, most),
    )
    # The remaining errors are unreadable credentials and refused or invalid addresses.
    found = ((ours, words) for kind, ours, words in kinds if isinstance(error, kind))
    ours, words = next(found, (ServerDownError, text))
    return ours(words)


class DecodedResponse(requests.Response):
    """A response whose JSON is decoded once, with values as numbers. Raises QueryError."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__()
        self.__dict__.update(response.__dict__)
        envelope = _parse_envelope(response)
        _check_response(response, envelope)
        data = envelope.get("data") if envelope else None
        rows = data.get("result") if isinstance(data, dict) else None
        known = (one if isinstance(one, Row) else None for one in rows or ())
        decoded = list(known) if isinstance(rows, list) else None
        self._envelope = {"data": {"result": decoded}}

    def json(self, **_: object) -> object:
        """Return the status code, which the library reads."""
        return self._envelope


def _decode_series(found: dict[str, Any]) -> "Row | dict[str, Any]":
    """Return the row of a JSON object that is a series, and any other object as it is.

    Called by the decoder for each object, so that the texts of one series are freed before the next
    is decoded: those of all series take more memory than the rows.
    """
    labels = found.get("metric")
    if not isinstance(labels, dict):  # labels' values are texts, so no labels look like a series
        return found
    if "histogram" in found or "histograms" in found:
        return Row(labels, (), histogram=True)
    try:
        samples = found["values"] if "values" in found else [found["value"]]
        times, values = zip(*samples, strict=True)
        return Row(labels, tuple(zip(map(float, times), map(float, values), strict=True)))
    except (TypeError, ValueError, KeyError):
        return found


def _check_response(response: requests.Response, envelope: Mapping[str, Any] | None) -> None:
    status, said = response.status_code, _error_message(envelope, response)
    if envelope is not None and envelope.get("errorType") in {"timeout", "canceled"}:
        raise NoAnswerError(f"HTTP {status}: {said}")
    if status in _TRANSIENT:
        raise _BusyError(f"HTTP {status}: {said}")
    if status >= requests.codes.server_error:
        raise NoAnswerError(f"HTTP {status}: {said}")
    if status in _DENIED:
        hint = "check the credentials (--prometheus-config)"
        raise RefusedQueryError(f"HTTP {status}: {said}; {hint}")
    if envelope is None or (status == requests.codes.ok and envelope.get("status") != "success"):
        found = response.headers.get("Content-Type", "nothing")
        raise NoPrometheusError(
            f"expected Prometheus' JSON, found {found} (HTTP {status}); "
            "check that this is the address of a Prometheus API"
        )
    if status != requests.codes.ok:
        raise RefusedQueryError(f"HTTP {status}: {said}")
    if why := missing_parts(envelope):
        raise TooLargeAnswerError(why) if _LIMITED in why else PartialAnswerError(why)


def missing_parts(envelope: Mapping[str, Any]) -> str:
    """Return why an answer is incomplete; empty if it is complete.

    Warnings mean missing parts (Thanos, Mimir, remote read); style hints do not. A VictoriaMetrics
    cluster sets `isPartial` instead if one of its storage nodes is down.
    """
    if envelope.get("isPartial"):
        return "isPartial is true: a storage node did not answer"
    notes = [*(envelope.get("warnings") or ()), *(envelope.get("infos") or ())]
    return "; ".join(str(n) for n in notes if not str(n).startswith(_STYLE_HINT))[:300]


def http_date(headers: Mapping[str, str]) -> float | None:
    """Return the `Date` of an HTTP response, in seconds since the epoch; None if it has none."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def _parse_envelope(response: requests.Response) -> dict[str, Any] | None:
    try:
        envelope = json.loads(response.content, object_hook=_decode_series)
    except (ValueError, RecursionError):  # a megabyte of opening brackets
        return None
    return envelope if isinstance(envelope, dict) else None


def _error_message(envelope: Mapping[str, Any] | None, response: requests.Response) -> str:
    if envelope is not None and "error" in envelope:
        return str(envelope["error"])[:300]
    return str(response.reason)


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
