"""Batches the queries of all releases: queries that differ only in metric and member are merged.

See query_template.py for what can be merged. A merged query contains every part that was requested
recently and is due again: not those that were requested less than a step before. So releases whose
scrapes come at different seconds do not read each other's series ten times per interval. The first
release that requests a time sends the query; the others share the answer. Queries that cannot be
merged are sent alone.

A failure of one release does not affect others. If a merged query fails although the server answers
other queries, one query per namespace is sent, with a fair share of the threads for each namespace;
if that fails too, each of its queries is sent alone. A namespace whose own query failed is left out
of merged queries for a while. A template whose answer is too large is split into several queries.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from itertools import count
from zlib import crc32

from canary.core.increments import Grid
from canary.core.series import (
    NOT_NUMBERS,
    FoundSeries,
    MetricAnswer,
    NoData,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.errors import UsageError
from canary.fair_executor import FairExecutor
from canary.interfaces import MetricSource
from canary.metrics.late import LateSampleCorrector
from canary.metrics.native import NATIVE, native_of
from canary.metrics.own_queries import OwnQueries, permit_query
from canary.metrics.query_template import QueryPart, QueryTemplate, merge_parts, template_of
from canary.text.regex import full_match

SPAN = 300.0
"""Seconds before the judged range from which every query of a release reads."""
LATE = 6
"""Number of intervals by which a release may be late and still share.

After that it queries alone.
"""
LATE_SECONDS = 30.0
"""The same in seconds, for short intervals: the status is only written every 10 s."""
EARLY = 0.9
"""Share of a step after which a part is due again: scrapes jitter and reconciles are late."""
KEPT = 4.0
"""Seconds for which an answer is kept: releases that read the same time do so within these."""
AWAY = 60.0
"""Seconds after its last request until a part is dropped from the merged query."""
PATIENCE = 30.0
"""Maximum number of seconds that `read` waits."""
APART = 600.0
"""Seconds for which a namespace whose own query failed is left out of merged queries."""
MOST_PIECES = 64
MOST_WAITING = 2_000
"""Maximum number of queries in flight per namespace: a new release sends about ten alone."""
_UNANSWERED = NoData("the metric source gave no answer for this query", partial=True)

Answers = Mapping[str, MetricAnswer]


@dataclass(frozen=True, slots=True)
class _Moment:
    """A template at one time, for a subset of all namespaces or for a single one."""

    template: QueryTemplate
    end: float
    step: float
    of: int | str = 0
    """Index of the subset, or the namespace."""

    @property
    def grid(self) -> Grid:
        """Return a grid that reaches back far enough for every release that is not too late."""
        late = max(LATE * self.step, LATE_SECONDS)
        back = math.ceil((SPAN + late) / self.step)
        return Grid(self.end - back * self.step, self.end, self.step)


_Name = tuple[str, str]
"""Metric and namespace."""


@dataclass(frozen=True, slots=True)
class _Split:
    """A split answer: its series by metric and namespace, or why there are none."""

    silence: NoData | Unavailable | None
    series: Mapping[_Name, Sequence[Series]] = field(default_factory=dict)
    not_numbers: Mapping[_Name, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Return whether a narrower query may succeed; it cannot if the server is down."""
        match self.silence:
            case Unavailable(server_down=down):
                return not down
            case NoData(splittable=splittable):
                return splittable
            case None:
                return False


@dataclass(frozen=True, slots=True)
class _Shared:
    """A merged query that was sent: its parts and its answer."""

    parts: frozenset[QueryPart]
    answer: "Future[_Split]"


@dataclass(frozen=True, slots=True)
class PendingAnswers:
    """The answers of queries that were sent."""

    parts: Mapping[str, "Future[MetricAnswer]"]

    def wait(self, seconds: float) -> bool:
        """Wait up to so many seconds; return whether all answers have arrived."""
        return not wait(self.parts.values(), seconds).not_done

    @property
    def done(self) -> bool:
        """Return whether all answers have arrived."""
        return all(part.done() for part in self.parts.values())

    def answers(self) -> Answers:
        """Return the answers so far; the others are Unavailable."""
        return {key: _read_answer(part) for key, part in self.parts.items()}

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` in another thread once all answers have arrived."""
        # The callbacks must not refer to `self`: futures keep them, and such a cycle with its
        # answers would stay in memory until the garbage collector's rare full collection.
        arrived, every = count(1), len(self.parts)
        for part in self.parts.values():
            part.add_done_callback(lambda _: call() if next(arrived) == every else None)


class QueryBatcher:
    """A MetricSource in front of one Prometheus, shared by all releases and threads.

    `count` is called for every query that is sent; `own_queries` is the policy for users' own
    queries.
    """

    def __init__(
        self,
        source: MetricSource,
        threads: int = 8,
        count: Callable[[], None] = lambda: None,
        own_queries: OwnQueries = OwnQueries.ON,
    ) -> None:
        self._source = source
        self.own_queries = own_queries
        self._count = count
        self._executor = FairExecutor(threads, threads // 2, "metrics", waiting=MOST_WAITING)
        self._own = FairExecutor(threads, 2, "own-queries")
        self._lock = threading.Lock()
        self._parts: dict[tuple[QueryTemplate, float], dict[QueryPart, float]] = {}
        """Per template and step: the requested parts, and the last time requested for each."""
        self._tidied: dict[tuple[QueryTemplate, float], float] = {}
        """The time requested when old parts were dropped last."""
        self._pieces: dict[tuple[QueryTemplate, float], int] = {}
        self._apart: dict[str, float] = {}
        """Namespaces that are queried separately, and since which time."""
        self._shared: dict[_Moment, list[_Shared]] = {}
        """Merged queries per moment: the first, and those of releases that it left out."""
        self._corrector = LateSampleCorrector()

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Answers:
        """See MetricSource."""
        pending = self.ask(queries, start, end, step)
        pending.wait(PATIENCE)
        return pending.answers()

    @property
    def lag(self) -> float:
        """Return the seconds from the start of a scrape until its samples can be read."""
        return self._corrector.lag

    def final_until(self, now: float) -> float:
        """See MetricSource; whole seconds."""
        return float(math.floor(now - self.lag))

    def ask(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> PendingAnswers:
        """Send the queries that are not in flight yet; return at once."""
        grid = Grid(math.floor(start), math.floor(end), step)
        asked, answers = self._select_permitted(queries)
        with self._lock:  # Register all parts of a release before the first is sent.
            for query in asked:
                if (found := template_of(query)) is not None:
                    self._register_part(*found, grid)
        return PendingAnswers(
            answers | {query.key: self._send_query(query, grid) for query in asked}
        )

    def _select_permitted(
        self, queries: Sequence[SeriesQuery]
    ) -> "tuple[list[SeriesQuery], dict[str, Future[MetricAnswer]]]":
        """Return the permitted queries, and the answers to the others."""
        asked: list[SeriesQuery] = []
        answers: dict[str, Future[MetricAnswer]] = {}
        for query in queries:
            try:
                asked.append(permit_query(self.own_queries, query))
            except UsageError as error:
                refused: Future[MetricAnswer] = Future()
                refused.set_result(NoData(str(error), partial=True))
                answers[query.key] = refused
        return asked, answers

    def close(self) -> None:
        """Stop sending; queries in flight end with their timeout."""
        self._executor.close()
        self._own.close()

    def _register_part(self, template: QueryTemplate, part: QueryPart, grid: Grid) -> None:
        self._drop_unused(template, grid)
        self._parts.setdefault((template, grid.step), {})[part] = grid.end

    def _send_query(self, query: SeriesQuery, grid: Grid) -> "Future[MetricAnswer]":
        found = template_of(query)
        if found is None:
            return self._send_alone(query, grid)
        template, part = found
        shared = self._merge_query(template, part, grid)
        if shared is None:
            return self._send_alone(query, grid)

        def by_itself(split: _Split) -> "MetricAnswer | Future[MetricAnswer]":
            """Return the answer; query alone if the series of others may hide it.

            For example, a native histogram of one release hides a classic one of another.
            """
            mine = _select_part(split, template, part, query, grid)
            hidden = isinstance(mine, NoData) and not mine.partial and native_of(query.selector)
            if split.failed or (hidden and split.silence is None):
                return self._send_alone(query, grid)
            return mine

        # No `shared` in here: its future keeps these functions (see PendingAnswers.then).
        single, answer = len(shared.parts) == 1, shared.answer

        def for_namespace(split: _Split) -> "MetricAnswer | Future[MetricAnswer]":
            """Return the answer; if it failed, query for the namespace alone."""
            if not split.failed or single:
                return by_itself(split)
            own = self._merge_query(template, part, grid, apart=True)
            return (
                self._send_alone(query, grid)
                if own is None
                else _chain_future(own.answer, by_itself)
            )

        return _chain_future(answer, for_namespace)

    def _merge_query(
        self, template: QueryTemplate, part: QueryPart, grid: Grid, *, apart: bool = False
    ) -> _Shared | None:
        """Return the merged query that answers this part; None if there is none.

        A release that comes before it is due, or once the query of that second has been sent, is
        in the next one, with all its parts.
        """
        key = template, grid.step
        with self._lock:
            parts = self._parts.get(key, {})
            apart = apart or part.asker in self._apart
            piece = crc32(part.asker.encode()) % self._pieces.get(key, 1)
            moment = _Moment(template, grid.end, grid.step, part.asker if apart else piece)
            if grid.start < moment.grid.start:
                return None
            sent = self._shared.setdefault(moment, [])
            for shared in sent:
                if part in shared.parts:
                    return shared
            asked = {one for shared in sent for one in shared.parts}
            mine = frozenset(
                one
                for one, last in parts.items()
                if not last < moment.end < last + EARLY * moment.step
                and one not in asked
                and self._is_of(one, moment)
            )
            if part not in mine:
                return None
            caller = part.asker if apart else (template, moment.of)
            answer = self._executor.submit(caller, lambda: self._send_merged(moment, mine))
            sent.append(_Shared(mine, answer))
            return sent[-1]

    def _is_of(self, part: QueryPart, moment: _Moment) -> bool:
        if isinstance(moment.of, str):
            return part.asker == moment.of
        pieces = self._pieces.get((moment.template, moment.step), 1)
        return part.asker not in self._apart and crc32(part.asker.encode()) % pieces == moment.of

    def _send_alone(self, query: SeriesQuery, grid: Grid) -> "Future[MetricAnswer]":
        own = query.promql is not None
        executor = self._own if own else self._executor
        since = query.since
        if own and since is not None and since > grid.start:
            steps = math.floor((since - grid.start) / grid.step)
            grid = replace(grid, start=grid.start + steps * grid.step)
        return executor.submit(query.asker or query, lambda: self._read_single(query, grid))

    def _read_single(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        self._count()
        answers = self._source.read((query,), grid.start, grid.end, grid.step)
        answer = answers.get(query.key, _UNANSWERED)
        if query.promql is None and query.asker and _Split(_select_silence(answer)).failed:
            with self._lock:
                self._apart[query.asker] = grid.end
        return answer

    def _send_merged(self, moment: _Moment, parts: frozenset[QueryPart]) -> _Split:
        asker = moment.of if isinstance(moment.of, str) else ""
        answer = self._read_single(merge_parts(moment.template, parts, asker), moment.grid)
        question = (moment.template, moment.step)
        answer = self._corrector.corrected((question, moment.of), moment.end, answer)
        silence = _select_silence(answer)
        with self._lock:
            if isinstance(silence, Unavailable) and silence.server_down:
                self._shared.pop(moment, None)  # The next request sends it again.
            too_large = isinstance(silence, NoData) and silence.splittable
            if too_large and silence != NATIVE and not asker:
                self._pieces[question] = min(2 * self._pieces.get(question, 1), MOST_PIECES)
        return _split_answer(answer, moment.template, parts)

    def _drop_unused(self, template: QueryTemplate, grid: Grid) -> None:
        """Drop parts that were not requested recently, and answers for other times."""
        if self._tidied.get((template, grid.step)) == grid.end:
            return
        self._tidied[template, grid.step] = grid.end
        parts = self._parts.get((template, grid.step), {})
        self._corrector.forget(grid.end - SPAN)
        old = grid.end - max(LATE * grid.step, AWAY)
        for part in [part for part, last in parts.items() if last < old]:
            del parts[part]
        for key in [key for key in self._shared if key.end < grid.end - KEPT]:
            del self._shared[key]
        for place in [place for place, left in self._parts.items() if not left]:
            del self._parts[place]
            self._pieces.pop(place, None)
            self._tidied.pop(place, None)
        for asker in [one for one, since in self._apart.items() if since < grid.end - APART]:
            del self._apart[asker]


def _select_silence(answer: MetricAnswer) -> NoData | Unavailable | None:
    return None if isinstance(answer, FoundSeries) else answer


def _split_answer(
    answer: MetricAnswer, template: QueryTemplate, parts: frozenset[QueryPart]
) -> _Split:
    if not isinstance(answer, FoundSeries):
        return _Split(answer)
    only = next(iter(parts)).metric  # Series of a single metric have no name.
    series: dict[_Name, list[Series]] = {}
    odd: dict[_Name, list[Mapping[str, str]]] = {}

    def name(labels: Mapping[str, str]) -> _Name:
        return labels.get("__name__", only), labels.get(template.namespace_label, "")

    for one in answer.series:
        series.setdefault(name(one.labels), []).append(one)
    for labels in answer.not_numbers:
        odd.setdefault(name(labels), []).append(labels)
    return _Split(None, series, odd)


def _select_part(
    split: _Split, template: QueryTemplate, part: QueryPart, query: SeriesQuery, grid: Grid
) -> MetricAnswer:
    """Return a query's part of a shared answer, as if it had been sent alone."""
    if split.silence is not None:
        return split.silence
    name, pattern = (part.metric, part.member.namespace), part.member.pattern

    def mine(labels: Mapping[str, str]) -> bool:
        return full_match(pattern, labels.get(template.label, ""))

    def unnamed(labels: Mapping[str, str]) -> dict[str, str]:
        return {label: value for label, value in labels.items() if label != "__name__"}

    found = tuple(
        Series(unnamed(one.labels), points)
        for one in split.series.get(name, ())
        if mine(one.labels) and (points := one.points[bisect_left(one.points, (grid.start,)) :])
    )
    odd = tuple(unnamed(labels) for labels in split.not_numbers.get(name, ()) if mine(labels))
    if found:
        return FoundSeries(found, odd)
    if odd:
        return NoData(NOT_NUMBERS, partial=True)
    return NoData(f"the query succeeds but matches no series of {query.template.metric}")


def _chain_future(
    shared: "Future[_Split]", part: Callable[[_Split], "MetricAnswer | Future[MetricAnswer]"]
) -> "Future[MetricAnswer]":
    """Return a future of `part` applied to the result of `shared`: a value, or another future."""
    mine: Future[MetricAnswer] = Future()

    def settle(done: "Future[MetricAnswer]") -> None:
        if done.cancelled():
            mine.cancel()
        elif error := done.exception():
            mine.set_exception(error)
        else:
            mine.set_result(done.result())

    def hand_over(done: "Future[_Split]") -> None:
        try:
            found = part(done.result())
        except BaseException as error:  # noqa: BLE001  # The caller must not wait, whatever the error.
            mine.set_exception(error)
            return
        if isinstance(found, Future):
            found.add_done_callback(settle)
        else:
            mine.set_result(found)

    shared.add_done_callback(hand_over)
    return mine


def _read_answer(part: "Future[MetricAnswer]") -> MetricAnswer:
    if not part.done():
        return Unavailable("the metric source did not answer in time")
    error = None if part.cancelled() else part.exception()
    if part.cancelled() or error is not None:
        return Unavailable(f"the query was not sent: {error or 'shutting down'}")
    return part.result()
