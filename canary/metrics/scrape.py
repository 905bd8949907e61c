"""The metric source `scrape`: reads /metrics of the instances directly, without a server."""

import math
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from prometheus_client.samples import Sample

from canary.core.increments import Grid
from canary.core.series import (
    NOT_NUMBERS,
    FoundSeries,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.errors import CanaryError
from canary.fair_executor import CrowdedError, FairExecutor
from canary.http.addresses import EVERYWHERE, AddressRules
from canary.http.client import HttpClient, Limits
from canary.metrics.exposition import USUAL_LIMITS, PageError, PageLimits, parse_samples
from canary.metrics.history import select_finite, sum_histories
from canary.metrics.promql import format_promql
from canary.metrics.store import MAX_CHARACTERS, ScrapeTarget, Store
from canary.text.regex import RegexError, full_match

__all__ = ["Scrape", "ScrapeFailure", "ScrapeOptions", "ScrapeTarget"]

_REGEXES = (MatchOp.REGEX, MatchOp.NOT_REGEX)
_ASKED_FOR = {
    "Accept": "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5",
    "Accept-Encoding": "gzip, deflate",
}
MOST_TARGETS = 5000
"""Maximum number of a caller's pages that wait for a thread; more are failures."""


@dataclass(frozen=True, slots=True)
class ScrapeOptions:
    """Times in seconds; `history` is how far back a read can reach; `addresses` are allowed."""

    timeout: float = 2.0
    page: PageLimits = USUAL_LIMITS
    history: float = 1800.0
    addresses: AddressRules = EVERYWHERE
    share: int = 8
    """Number of pages read concurrently."""


@dataclass(frozen=True, slots=True)
class ScrapeFailure:
    """Why a target could not be scraped in the last poll."""

    url: str
    why: str


_Page = list[Sample] | ScrapeFailure


class Scrape:
    """Scrapes on `poll` and answers `read` from stored samples; thread-safe.

    Only series that known queries select are stored. `read` adds new queries to the known ones,
    and they have data from the next poll on.
    """

    def __init__(
        self,
        targets: Callable[[], Iterable[ScrapeTarget]],
        queries: Sequence[SeriesQuery] = (),
        options: ScrapeOptions | None = None,
        threads: FairExecutor | None = None,
        caller: Hashable = None,
    ) -> None:
        """`threads`, if given, are shared; `caller` identifies whose share of them is used."""
        self._targets = targets
        self._options = options or ScrapeOptions()
        self._lock = threading.Lock()
        self._store = Store(self._options.history, self._options.page.series)
        self._early = list(queries)
        self._polled: float | None = None
        self._count = 0
        self._failures: tuple[ScrapeFailure, ...] = ()
        self._running: dict[str, Future[_Page]] = {}
        self._client = _build_client(self._options)
        self._own_threads = threads is None
        self._threads = threads or FairExecutor(
            self._options.share, self._options.share, "scrape", waiting=MOST_TARGETS
        )
        self._caller = caller

    def poll(self, now: float) -> tuple[ScrapeFailure, ...]:
        """Scrape all targets concurrently and store the samples under `now` (seconds).

        Returns the targets that failed. Takes little longer than the timeout. Only one poll at a
        time is allowed: call it from one thread.
        """
        targets = tuple(self._targets())
        with self._lock:
            self._store.request_series(_list_selectors(self._early), now)
            self._early.clear()
            metrics = self._store.metrics
        pages = self._fetch_pages({t.url for t in targets}, metrics)
        with self._lock:
            self._store.start_round()
            for target in targets:
                page = pages[target.url]
                if isinstance(page, ScrapeFailure):
                    self._store.record_failure(target, now)
                else:
                    self._store.add_scrape(target, page, now)
            self._store.drop_old_samples(targets, now)
            self._failures = tuple(p for p in pages.values() if isinstance(p, ScrapeFailure))
            self._count, self._polled = len(targets), now
            return self._failures

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource; a user's own PromQL is Unavailable."""
        grid = Grid(math.floor(start), math.floor(end), step)
        with self._lock:
            if self._polled is None:
                self._early.extend(queries)
            else:
                self._store.request_series(_list_selectors(queries), self._polled)
            return {query.key: self._read_answer(query, grid) for query in queries}

    def final_until(self, now: float) -> float:
        """Return the whole second of the last complete poll; 0 before the first."""
        with self._lock:
            return min(float(self._polled // 1), now) if self._polled is not None else 0.0

    def close(self) -> None:
        """End the threads without waiting for outstanding pages."""
        if self._own_threads:
            self._threads.close()
        self._client.close()

    def _read_answer(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        if (refusal := _explain_refusal(query)) is not None:
            return Unavailable(f"the query {query.key!r} cannot be answered: {refusal}")
        if self._store.full:
            most = f"{self._options.page.series:,} series or {MAX_CHARACTERS:,} characters"
            return NoData(
                f"expected at most {most} for the queries of this release, found more: check for a "
                "label with very many values",
                partial=True,
            )
        if query.raw:
            return self._read_raw(query, grid)
        groups = sum_histories(self._store.select(query.selector), query.by, grid)
        found = tuple(
            Series({k: v for k, v in zip(query.by, group, strict=True) if v}, select_finite(values))
            for group, values in sorted(groups.items())
        )
        return (
            FoundSeries(some)
            if (some := tuple(s for s in found if s.points))
            else self._explain_nothing(query)
        )

    def _read_raw(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        start = grid.start - query.history
        selected = self._store.select(query.selector)
        series = (Series(one.labels, one.samples_between(start, grid.end)) for one in selected)
        odd = tuple(one.labels for one in selected if one.says_nothing(start, grid.end))
        if found := tuple(one for one in series if one.points):
            return FoundSeries(found, odd)
        return NoData(NOT_NUMBERS, partial=True) if odd else self._explain_nothing(query)

    def _explain_nothing(self, query: SeriesQuery) -> NoData | Unavailable:
        if self._polled is None:
            return NoData("nothing has been scraped yet")
        if not self._count:
            return NoData("there is no target to scrape")
        if len(self._failures) == self._count:
            first = self._failures[0]
            return Unavailable(
                f"none of {self._count} targets could be scraped; {first.url}: {first.why}"
            )
        return NoData(
            f"{self._count - len(self._failures)} of {self._count} targets were scraped, "
            f"and none has had {query.selector.metric} with these labels in this range"
        )

    def _fetch_pages(self, urls: set[str], metrics: frozenset[str]) -> dict[str, _Page]:
        """Return a page or failure per address; an address that still hangs is skipped."""
        hanging = {u for u, f in self._running.items() if not f.done()}
        asked = {
            url: self._threads.submit(self._caller, partial(self._fetch_page, url, metrics))
            for url in urls - hanging
        }
        wait(asked.values(), self._options.timeout)
        self._running = {u: f for u, f in (self._running | asked).items() if not f.done()}
        return {url: self._read_outcome(url, asked.get(url)) for url in urls}

    def _read_outcome(self, url: str, page: Future[_Page] | None) -> _Page:
        if page is None or url in self._running:
            return ScrapeFailure(url, f"no complete answer within {self._options.timeout:g} s")
        broken = page.exception()
        if isinstance(broken, CrowdedError):
            return ScrapeFailure(url, str(broken))
        return page.result() if broken is None else ScrapeFailure(url, type(broken).__name__)

    def _fetch_page(self, url: str, metrics: frozenset[str]) -> _Page:
        try:
            answer = self._client.send("GET", url, _ASKED_FOR, seconds=self._options.timeout)
            if answer.status != HTTPStatus.OK:
                return ScrapeFailure(url, f"HTTP {answer.status}")
            kind = answer.headers.get("Content-Type", "")
            limits = self._options.page
            return parse_samples(answer.body, kind, metrics, whole=answer.whole, limits=limits)
        except (CanaryError, PageError) as error:
            return ScrapeFailure(url, str(error))


def _list_selectors(queries: Iterable[SeriesQuery]) -> set[Selector]:
    return {query.selector for query in queries if _explain_refusal(query) is None}


def _explain_refusal(query: SeriesQuery) -> str | None:
    """Return why this source cannot answer a query; None if it can."""
    if query.promql is not None:
        return "a PromQL expression needs the metric source `prometheus`"
    try:
        format_promql(query)
        for matcher in query.selector.matchers:
            if matcher.op in _REGEXES:
                full_match(matcher.value, "")
    except RegexError as error:
        return f"invalid regular expression: {error}"
    except ValueError as error:
        return str(error)
    return None


def _build_client(options: ScrapeOptions) -> HttpClient:
    seconds = options.timeout
    limits = Limits(seconds, seconds, seconds, options.page.size)
    return HttpClient(options.addresses, limits, connections=options.share)
