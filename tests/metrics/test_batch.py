"""Batched queries: one for all releases, and to each its own part as if it had asked alone."""

import gc
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from canary.core.increments import Grid, Side
from canary.core.series import (
    FoundSeries,
    Member,
    MetricAnswer,
    NoData,
    PendingAnswer,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.metrics.batch import QueryBatcher
from canary.metrics.history import History, select_finite, sum_histories
from canary.metrics.late import SHORTEST
from canary.metrics.nonblocking import NonBlockingSource
from canary.metrics.presets import pool_preset, ratio_preset
from canary.metrics.promql import format_promql
from canary.metrics.queries import Context, compile_pool, compile_ratio
from canary.metrics.query_template import merge_parts, template_of

STEP = 10.0
PODS = {"a": ("a-1", "a-2"), "b": ("b-1",), "c": ("c-1",)}


@dataclass
class Source:
    """A Prometheus of a few series that remembers what it was asked."""

    asked: list[str] = field(default_factory=list)
    ranges: list[tuple[float, float]] = field(default_factory=list)
    broken: str = ""
    most: int = 1000
    """Series that an answer may have."""
    go_on: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go_on.set()
        self.series: list[tuple[str, History]] = []
        for namespace, pods in PODS.items():
            for number, pod in enumerate(pods, 1):
                for metric in ("http_requests_total", "pool_size"):
                    labels = {"namespace": namespace, "pod": pod, "code": "200", "instance": pod}
                    one = History(labels)
                    for t in range(0, 2000, 5):
                        one.add(float(t), t * number + len(metric))
                    self.series.append((metric, one))

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        self.begun.set()
        assert self.go_on.wait(20)
        self.asked += [format_promql(query) for query in queries]
        self.ranges.append((start, end))
        return {query.key: self._answer(query, Grid(start, end, step)) for query in queries}

    def final_until(self, now: float) -> float:
        return now // 1 - 2

    def _answer(self, query: SeriesQuery, grid: Grid) -> MetricAnswer:
        if self.broken:
            return Unavailable(self.broken)
        from canary.core.sampling import selector_matches  # noqa: PLC0415

        def groups(selector: Selector) -> dict[tuple[str, ...], dict[float, float]]:
            chosen = [
                one
                for metric, one in self.series
                if metric == selector.metric and selector_matches(selector, one.labels)
            ]
            return sum_histories(chosen, query.by, grid)

        if query.raw:
            chosen = [
                Series(one.labels | name, one.samples_between(grid.start, grid.end))
                for metric, one in self.series
                if metric in (query.selector.metric, *query.also)
                and selector_matches(query.selector, one.labels)
                for name in [{"__name__": metric} if query.also else {}]
            ]
            if len(chosen) > self.most:
                return NoData("too many series", partial=True, splittable=True)
            return FoundSeries(tuple(chosen)) if chosen else NoData("nothing")
        found = groups(query.selector)
        series = tuple(
            Series({k: v for k, v in zip(query.by, key, strict=True) if v}, select_finite(values))
            for key, values in sorted(found.items())
        )
        return FoundSeries(series) if series else NoData("nothing")


def context(namespace: str) -> Context:
    """A release whose stable pods are those of its namespace."""
    return Context(namespace, {Side.STABLE: PODS[namespace]})


def ratio(namespace: str) -> tuple[SeriesQuery, ...]:
    """What a release of that namespace asks for."""
    return compile_ratio(ratio_preset("http"), context(namespace), "errors").queries()


def pool(namespace: str) -> tuple[SeriesQuery, ...]:
    """As above, of gauges."""
    return compile_pool(pool_preset("psycopg-pool"), context(namespace), "pool").queries()


def ask(
    batch: QueryBatcher, queries: Sequence[SeriesQuery], end: float
) -> Mapping[str, MetricAnswer]:
    """One pass of a release that is on time."""
    return batch.read(queries, end - 300 - STEP, end, STEP)


def test_one_query_for_all() -> None:
    """From the second time on, all releases together send one query for all their metrics."""
    source = Source()
    batch = QueryBatcher(source)
    for end in (500.0, 510.0):
        source.asked.clear()
        for namespace in PODS:
            ask(batch, (*ratio(namespace)[:1], *pool(namespace)[:1]), end)
    whose = 'namespace=~"a|b|c",pod=~"a-1|a-2|b-1|c-1"'
    names = '__name__=~"http_requests_total|pool_size"'
    assert source.asked == [f"sum by (pod) ({{{names},{whose}}})"]


@pytest.mark.parametrize("queries", [ratio, pool], ids=["a ratio", "a pool"])
def test_same_answer_as_alone(queries) -> None:
    """Each release's part of a shared answer is what Prometheus would have told it alone."""
    source = Source()
    batch = QueryBatcher(source)
    for end in (500.0, 510.0, 520.0):
        for namespace in PODS:
            mine = queries(namespace)[:1]
            alone = source.read(mine, end - 310, end, STEP)
            assert ask(batch, mine, end) == alone


def test_a_release_whose_status_is_some_seconds_old_shares_at_a_short_interval_as_well() -> None:
    """What has been judged since is read again: no more than the bound of ten seconds."""
    source = Source()
    batch = QueryBatcher(source)
    for end in (500.0, 505.0):
        source.asked.clear()
        for namespace in PODS:
            batch.read(ratio(namespace)[:1], end - 300 - 15, end, 1.0)
    assert len(source.asked) == 1


def test_a_release_is_in_no_query_between_two_of_its_own() -> None:
    """Scrapes of releases come at different seconds: each query reads those that are due alone."""
    source = Source()
    batch = QueryBatcher(source)
    offsets = {"a": 0.0, "b": 4.0, "c": 4.0}
    for end in (500.0, 510.0):
        for namespace, later in offsets.items():
            ask(batch, ratio(namespace)[:1], end + later)
    source.asked.clear()
    for namespace, later in offsets.items():
        ask(batch, ratio(namespace)[:1], 520.0 + later)
    whose = [text[text.index("namespace=~") :].split('"')[1] for text in source.asked]
    assert whose == ["a", "b|c"]


def test_a_release_that_comes_before_it_is_due_sends_one_query_for_all_its_metrics() -> None:
    """The merged query of that second is on its way without it; its metrics go into the next."""
    source = Source()
    batch = QueryBatcher(source)
    both = {name: (*ratio(name)[:1], *pool(name)[:1]) for name in PODS}
    for namespace, end in (("b", 500.0), ("a", 502.0), ("b", 506.0)):
        ask(batch, both[namespace], end)
    source.asked.clear()
    ask(batch, both["a"], 512.0)
    found = ask(batch, both["b"], 512.0)
    assert len(source.asked) == 2
    assert all(isinstance(one, FoundSeries) for one in found.values())
    assert ask(batch, both["b"], 512.0) == found
    assert len(source.asked) == 2


class Tracked(Series):
    """A series that can be referred to weakly."""


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_answers_are_freed_when_nobody_needs_them(*, late: bool) -> None:
    """A hundred releases get ten megabytes each second; the garbage collector seldom looks."""
    source = Source()
    source.series = [(metric, one) for metric, one in source.series if metric == "pool_size"]
    kept: list[weakref.ref[Series]] = []
    read = source.read

    def tracked(*question) -> Mapping[str, MetricAnswer]:
        answers = {}
        for key, answer in read(*question).items():
            assert isinstance(answer, FoundSeries)
            series = tuple(Tracked(one.labels, one.points) for one in answer.series)
            kept.extend(map(weakref.ref, series))
            answers[key] = FoundSeries(series)
        return answers

    source.read = tracked  # type: ignore[method-assign]
    batch = QueryBatcher(source)
    gc.disable()
    try:
        for end in (500.0, 510.0, 520.0):
            source.go_on.clear() if late else None
            asked = [batch.ask(pool(name)[:1], end - 310, end, STEP) for name in PODS]
            for one in asked:
                one.then(lambda: None)
            source.go_on.set()
            assert all(one.wait(20) for one in asked)
            del asked, one
        alive = [ref for ref in kept if ref() is not None]
    finally:
        gc.enable()
    assert 0 < len(alive) < len(kept) / 2


def test_late_release_asks_alone() -> None:
    """A range that reaches further back is asked for by itself, and only that far by it."""
    source = Source()
    batch = QueryBatcher(source)
    ask(batch, ratio("a")[:1], 500.0)
    source.ranges.clear()
    answers = batch.read(ratio("b")[:1], 100.0, 500.0, STEP)
    assert source.ranges == [(100.0, 500.0)]
    found = answers["errors.total"]
    assert isinstance(found, FoundSeries)
    assert found.series[0].points[0][0] == 100.0


def test_leavers_are_left_out() -> None:
    """Who has not asked for a minute is in no query any more."""
    source = Source()
    batch = QueryBatcher(source)
    for namespace in PODS:
        ask(batch, ratio(namespace)[:1], 500.0)
    for end in (510.0, 520.0, 600.0):
        source.asked.clear()
        ask(batch, ratio("a")[:1], end)
    assert source.asked[-1].count('namespace=~"a"') == 1


def test_askers_share_one_answer() -> None:
    """Who asks while the query is on its way waits for the same answer."""
    source = Source()
    batch = QueryBatcher(source)
    ask(batch, ratio("a")[:1], 500.0)
    ask(batch, ratio("b")[:1], 500.0)
    source.asked.clear()
    source.go_on.clear()
    asked = [batch.ask(ratio(name)[:1], 200.0, 510.0, STEP) for name in ("a", "b", "a")]
    assert not any(one.done for one in asked)
    source.go_on.set()
    assert all(one.wait(20) for one in asked)
    assert len(source.asked) == 1
    assert asked[0].answers() == asked[2].answers()


def test_releases_whose_series_are_too_many_together_are_answered_one_by_one() -> None:
    """The trouble of one that has too many by itself is its own."""
    source = Source(most=1)
    batch = QueryBatcher(source)
    found = {}
    for end in (500.0, 510.0):
        for namespace in PODS:
            (found[namespace],) = ask(batch, ratio(namespace)[:1], end).values()
    assert found["a"] == NoData("too many series", partial=True, splittable=True)
    for namespace in ("b", "c"):
        answer = found[namespace]
        assert isinstance(answer, FoundSeries)
        assert [one.labels["namespace"] for one in answer.series] == [namespace]


def test_an_answer_that_is_too_large_is_asked_in_pieces_from_then_on() -> None:
    """Nobody is asked alone any more; four series are there, and three are read at once."""
    source = Source(most=3)
    batch = QueryBatcher(source)
    for end in (500.0, 510.0, 520.0, 530.0):
        source.asked.clear()
        pending = [batch.ask(ratio(name)[:1], end - 300 - STEP, end, STEP) for name in PODS]
        assert all(one.wait(20) for one in pending)
        assert all(isinstance(one.answers()["errors.total"], FoundSeries) for one in pending)
    assert len(source.asked) == 2
    assert sum("|" in text for text in source.asked) >= 1


def test_outage_is_shared_and_not_kept() -> None:
    """An answer that did not come is nobody's; the next one who looks asks again."""
    source = Source(broken="down")
    batch = QueryBatcher(source)
    assert ask(batch, ratio("a")[:1], 500.0)["errors.total"] == Unavailable("down")
    source.broken = ""
    assert isinstance(ask(batch, ratio("a")[:1], 500.0)["errors.total"], FoundSeries)


MEMBER = Member("pod", "p", "namespace", 'x|"y')


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(
            SeriesQuery("k", Selector("own"), (), promql="up"), id="somebody's own PromQL"
        ),
        pytest.param(SeriesQuery("k", Selector("m"), ("pod",), raw=True), id="of nobody"),
        pytest.param(SeriesQuery("k", Selector("m"), ("pod",), member=MEMBER), id="a sum"),
        pytest.param(
            SeriesQuery("k", Selector("m"), ("pod",), raw=True, history=60.0, member=MEMBER),
            id="with what was before",
        ),
    ],
)
def test_not_to_be_merged(query: SeriesQuery) -> None:
    """What cannot be taken apart again is not put together."""
    assert template_of(query) is None


def test_names_cannot_inject() -> None:
    """A namespace with a quote or a pipe stays one name in the merged query."""
    found = template_of(SeriesQuery("k", Selector("m"), ("pod",), raw=True, member=MEMBER))
    assert found is not None
    template, part = found
    assert r'namespace=~"x\\|\"y"' in format_promql(merge_parts(template, [part]))


def test_pass_does_not_wait() -> None:
    """While an answer is awaited nothing is asked; once it is there, the same question has it."""
    source = Source()
    ready = threading.Event()
    nonblocking = NonBlockingSource(QueryBatcher(source), ready.set, wait=0.01)
    source.go_on.clear()
    question = ratio("a")[:1], 200.0, 510.0, STEP
    assert nonblocking.read(*question) == PendingAnswer()
    assert nonblocking.final_until(1000.0) == 0.0
    source.go_on.set()
    assert ready.wait(20)
    assert nonblocking.final_until(1000.0) == 510.0
    asked = len(source.asked)
    answers = nonblocking.read(*question)
    assert not isinstance(answers, PendingAnswer)
    assert isinstance(answers["errors.total"], FoundSeries)
    assert len(source.asked) == asked
    assert nonblocking.final_until(1000.2) == 999.0
    assert nonblocking.seconds_until_due(515.5) == pytest.approx(519 + SHORTEST - 515.5)


def test_a_clock_that_is_moved_back_does_not_end_the_queries() -> None:
    """An hour ahead and back again: the next pass reads, and the next scrape is due soon."""
    nonblocking = NonBlockingSource(QueryBatcher(Source()), lambda: None, wait=20.0)
    for now in (510.0, 4110.0):
        answers = nonblocking.read(ratio("a")[:1], now - 310.0, now, STEP)
        assert not isinstance(answers, PendingAnswer)
        nonblocking.judged(now)
    assert nonblocking.final_until(520.0) == 519.0
    assert nonblocking.seconds_until_due(520.0) is None
    answers = nonblocking.read(ratio("a")[:1], 210.0, 519.0, STEP)
    assert not isinstance(answers, PendingAnswer)
    due = nonblocking.seconds_until_due(520.0)
    assert due is not None
    assert due < 2 * STEP
