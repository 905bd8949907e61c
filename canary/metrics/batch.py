"""One query for all releases: questions that differ only in whose they are go out as one.

`sum by (pod) (http_requests_total{namespace="a",pod=~"a-1|a-2"})` and the same of namespace `b`
become `sum by (pod, namespace) (http_requests_total{namespace=~"a|b",pod=~"a-1|a-2|b-1"})`. Who
is included is known from the last times: each asker is a member for a while. The first asker at a
time has the question sent, the others share the answer. What cannot be merged is asked singly.
"""

import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from canary.core.increments import Grid
from canary.core.series import (
    NOT_NUMBERS,
    Found,
    MetricAnswer,
    NoData,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.interfaces import MetricSource
from canary.metrics.late import LateSampleCorrector
from canary.metrics.native import native_of
from canary.metrics.query_template import Member, Template, template_of

SPAN = 300.0
"""Seconds before the judged range that every question of a release reaches back."""
LATE = 4
"""Intervals that a release may be late and still share: what is further back is asked singly."""
AWAY = 60.0
"""Seconds after which, without a question, a release is not asked for any more."""
PATIENCE = 30.0
"""Seconds that `read` waits at most."""
_UNANSWERED = "the metric source gave no answer for this query"

Answers = Mapping[str, MetricAnswer]


@dataclass(frozen=True, slots=True)
class _Moment:
    """One question: a template at one time."""

    template: Template
    end: float
    step: float

    @property
    def grid(self) -> Grid:
        """Far enough back for every release that is not late."""
        back = math.ceil(SPAN / self.step) + LATE
        return Grid(self.end - back * self.step, self.end, self.step)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A question that was sent: for whom, and its answer by namespace."""

    members: frozenset[Member]
    answer: "Future[_Split]"


@dataclass(frozen=True, slots=True)
class _Split:
    """An answer: its series by namespace, or why there are none."""

    silence: NoData | Unavailable | None
    series: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    not_numbers: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class PendingAnswers:
    """Questions on their way."""

    parts: Mapping[str, "Future[MetricAnswer]"]

    def wait(self, seconds: float) -> bool:
        """Whether all answers are there, after so many seconds at most."""
        return not wait(self.parts.values(), seconds).not_done

    @property
    def done(self) -> bool:
        """Whether all answers are there."""
        return all(part.done() for part in self.parts.values())

    def answers(self) -> Answers:
        """What has been answered; the rest is Unavailable."""
        return {key: _answer(part) for key, part in self.parts.items()}

    def then(self, call: Callable[[], None]) -> None:
        """Has `call` called once all answers are there, in another thread."""
        for part in self.parts.values():
            part.add_done_callback(lambda _: call() if self.done else None)


class QueryBatcher:
    """A MetricSource in front of one Prometheus, shared by all releases and threads."""

    def __init__(
        self,
        source: MetricSource,
        threads: int = 8,
        count: Callable[[], None] = lambda: None,
    ) -> None:
        """`count` is called for every query that is sent."""
        self._source = source
        self._count = count
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="metrics")
        self._lock = threading.Lock()
        self._members: dict[tuple[Template, float], dict[Member, float]] = {}
        """Per template and step: who asks, and for which time last."""
        self._shared: dict[_Moment, _Shared] = {}
        self._latecomers = LateSampleCorrector()

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Answers:
        """See MetricSource."""
        asked = self.ask(queries, start, end, step)
        asked.wait(PATIENCE)
        return asked.answers()

    @property
    def lag(self) -> float:
        """Seconds until what was scraped can be read."""
        return self._latecomers.lag

    def settled(self, now: float) -> float:
        """See MetricSource; whole seconds."""
        return float(math.floor(now - self.lag))

    def ask(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> PendingAnswers:
        """Sends what nobody has sent yet; returns at once."""
        grid = Grid(math.floor(start), math.floor(end), step)
        return PendingAnswers({query.key: self._ask(query, grid) for query in queries})

    def close(self) -> None:
        """Sends nothing more; what is under way is left to its time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, query: SeriesQuery, grid: Grid) -> "Future[MetricAnswer]":
        found = template_of(query)
        if found is None:
            return self._pool.submit(self._single, query, grid)
        template, member = found
        moment = _Moment(template, grid.end, grid.step)
        with self._lock:
            self._tidy(moment)
            members = self._members.setdefault((template, grid.step), {})
            members[member] = grid.end
            odd = not query.raw and (grid.start - grid.end) % grid.step
            if grid.start < moment.grid.start or odd:
                return self._pool.submit(self._single, query, grid)
            shared = self._shared.get(moment)
            if shared is None:
                everybody = frozenset(members)
                shared = _Shared(everybody, self._pool.submit(self._send, moment, everybody))
                self._shared[moment] = shared
        if member not in shared.members:
            return self._pool.submit(self._single, query, grid)
        return _followed(
            shared.answer, lambda split: self._own(split, template, member, query, grid)
        )

    def _own(
        self, split: _Split, template: Template, member: Member, query: SeriesQuery, grid: Grid
    ) -> MetricAnswer:
        """One asker's part; asked for again where the others' series stand in the way.

        All of them together may be more than is read of one answer, and one may have a native
        histogram where the others have a classic one.
        """
        if isinstance(split.silence, NoData) and split.silence.too_large:
            return self._single(query, grid)
        mine = _mine(split, template, member, query, grid)
        silent = isinstance(mine, NoData) and not mine.partial and split.silence is None
        return self._single(query, grid) if silent and native_of(query.selector) else mine

    def _single(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        self._count()
        answers = self._source.read((query,), grid.start, grid.end, grid.step)
        return answers.get(query.key, NoData(_UNANSWERED, partial=True))

    def _send(self, moment: _Moment, members: frozenset[Member]) -> _Split:
        answer = self._single(moment.template.of(members), moment.grid)
        question = (moment.template, moment.step)
        if moment.template.query.raw:
            answer = self._latecomers.corrected(question, moment.end, answer)
        if not isinstance(answer, Found):
            if isinstance(answer, Unavailable):  # to be asked again by whoever looks next
                with self._lock:
                    self._shared.pop(moment, None)
            return _Split(answer)
        series: dict[str, list[Series]] = {}
        for one in answer.series:
            series.setdefault(one.labels.get(moment.template.space, ""), []).append(one)
        return _Split(None, series, answer.not_numbers)

    def _tidy(self, moment: _Moment) -> None:
        """Forgets who has not asked for some time, and answers of other times."""
        if moment in self._shared:
            return
        self._latecomers.forget(moment.end - SPAN)
        old = moment.end - max(LATE * moment.step, AWAY)
        members = self._members.get((moment.template, moment.step), {})
        for member in [member for member, last in members.items() if last < old]:
            del members[member]
        for key in [key for key in self._shared if key.end < moment.end - LATE * key.step]:
            del self._shared[key]
        for place in [place for place, left in self._members.items() if not left]:
            del self._members[place]


def _mine(
    split: _Split, template: Template, member: Member, query: SeriesQuery, grid: Grid
) -> MetricAnswer:
    """One asker's part of a shared answer, as if it had been asked for alone."""
    if split.silence is not None:
        return split.silence
    pattern = re.compile(member.pattern)

    def mine(labels: Mapping[str, str]) -> bool:
        return pattern.fullmatch(labels.get(template.label, "")) is not None

    def kept(labels: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in labels.items() if query.raw or name in query.by}

    series = [
        Series(kept(one.labels), tuple(point for point in one.points if point[0] >= grid.start))
        for one in split.series.get(member.namespace, ())
        if mine(one.labels)
    ]
    odd = tuple(
        kept(labels)
        for labels in split.not_numbers
        if labels.get(template.space, "") == member.namespace and mine(labels)
    )
    if found := tuple(one for one in series if one.points):
        return Found(found, odd)
    if odd:
        return NoData(NOT_NUMBERS, partial=True)
    return NoData("the query works and matches no series")


def _followed(
    shared: "Future[_Split]", part: Callable[[_Split], MetricAnswer]
) -> "Future[MetricAnswer]":
    """A future of a part of another one's result."""
    mine: Future[MetricAnswer] = Future()

    def hand_over(done: "Future[_Split]") -> None:
        try:
            mine.set_result(part(done.result()))
        except BaseException as error:  # noqa: BLE001  # whatever it is, the asker must not wait
            mine.set_exception(error)

    shared.add_done_callback(hand_over)
    return mine


def _answer(part: "Future[MetricAnswer]") -> MetricAnswer:
    if not part.done():
        return Unavailable("the monitoring has not answered in time")
    error = None if part.cancelled() else part.exception()
    if part.cancelled() or error is not None:
        return Unavailable(f"the monitoring was not asked: {error or 'shutting down'}")
    return part.result()
