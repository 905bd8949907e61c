"""One tenant's queries never concern another: beside a real HTTP server that is slow for some."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from time import monotonic

import pytest

from canary.api import Metric, PoolSource, RatioSource
from canary.core.increments import Side
from canary.core.series import FoundSeries, MetricAnswer, NoData, SeriesQuery, Unavailable
from canary.metrics.batch import QueryBatcher
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.queries import Context, compile_metric
from tests.http_server import HttpServer, ReceivedRequest, Reply

END, STEP = 1_000_000.0, 5.0
JSON = {"Content-Type": "application/json"}
SLOW = "slow_by_purpose"


def series_of(*namespaces: str, metric: str = "http_requests_total", padding: str = "") -> Reply:
    """Prometheus' answer to a raw query: a series of each namespace."""
    values = [[END - 5, "1"], [END, "2"]]
    result = [
        {
            "metric": {
                "__name__": metric,
                "namespace": name,
                "pod": f"{name}-1",
                "code": "200",
                "padding": padding,
            },
            "values": values,
        }
        for name in namespaces
    ]
    data = {"resultType": "matrix", "result": result}
    return Reply(json.dumps({"status": "success", "data": data}).encode(), headers=JSON)


def refused(status: int, text: str) -> Reply:
    """Prometheus' way to say no."""
    return Reply(json.dumps({"status": "error", "error": text}).encode(), status, JSON)


def queries(namespace: str, *metrics: Metric) -> list[SeriesQuery]:
    """What a release of a namespace asks."""
    context = Context(namespace, {Side.CANARY: (f"{namespace}-1",)})
    return [query for one in metrics for query in compile_metric(one, context).queries()]


ERRORS = Metric(name="errors", ratio=RatioSource(preset="http"))
POOL = Metric(name="pool", pool=PoolSource(preset="psycopg-pool"))
OWN = [Metric(name=f"own{n}", query=f"{SLOW}_{n}", max=1.0) for n in range(20)]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """Scripted, on loopback."""
    with closing(HttpServer()) as one:
        yield one


@pytest.fixture
def batcher(server: HttpServer) -> Iterator[QueryBatcher]:
    """In front of a real client of the server, which waits half a second for an answer."""
    options = PrometheusOptions(server.url, read_timeout=0.5, own_timeout=0.5, max_bytes=20_000)
    with closing(Prometheus(options)) as source, closing(QueryBatcher(source)) as one:
        yield one
        server.closed.set()


def read(batcher: QueryBatcher, asked: list[SeriesQuery], end: float = END) -> MetricAnswer:
    """The answer to the first of these queries."""
    return batcher.read(asked, end - 300, end, STEP)[asked[0].key]


def slow_where(condition: Callable[[str], bool]) -> Callable[[ReceivedRequest], Reply]:
    """Does not answer these queries, and answers the others with a series of each namespace."""

    def answer(request: ReceivedRequest) -> Reply:
        text = request.form["query"]
        if condition(text):
            return Reply(hold=True)
        return series_of(*(name for name in ("good", "other", "evil") if name in text))

    return answer


def test_beside_a_tenant_with_20_slow_queries_another_tenants_answers_all_arrive(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """Fourteen rounds, none of which waits for the slow ones."""
    server.answer = slow_where(lambda text: SLOW in text)
    slow = batcher.ask(queries("evil", *OWN), END - 300, END, STEP)
    began = monotonic()
    for number in range(14):
        end = END + number * STEP
        found = batcher.read(queries("good", ERRORS), end - 300, end, STEP)
        assert all(isinstance(one, FoundSeries) for one in found.values()), found
    assert monotonic() - began < 5
    assert slow.wait(20)
    assert all(isinstance(one, Unavailable) for one in slow.answers().values())


def test_another_tenants_own_queries_are_answered_in_between(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """Of one tenant's, two run at a time."""
    server.answer = slow_where(lambda text: SLOW in text)
    batcher.ask(queries("evil", *OWN), END - 300, END, STEP)
    own = queries("good", Metric(name="own", query="good_things", max=1.0))
    assert isinstance(read(batcher, own), FoundSeries)


def test_a_tenants_failures_are_counted_and_cost_nothing_after_the_third(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """Its own expressions rest for a while; what presets ask on its behalf does not."""
    server.answer = slow_where(lambda text: SLOW in text)
    batcher.ask(queries("evil", *OWN), END - 300, END, STEP).wait(20)
    sent = [one for one in server.requests if SLOW in one.form["query"]]
    assert len(sent) <= 4
    assert isinstance(read(batcher, queries("evil", ERRORS)), FoundSeries)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Reply(hold=True), id="not answered in time"),
        pytest.param(refused(422, "query processing would load too many samples"), id="refused"),
        pytest.param(refused(500, "panic"), id="an error of the server"),
        pytest.param(series_of("evil", padding="x" * 30_000), id="too large"),
    ],
)
def test_a_merged_query_that_fails_is_split_before_anybody_hears_unavailable(
    server: HttpServer, batcher: QueryBatcher, trouble: Reply
) -> None:
    """Whatever one tenant's series do to it."""

    def answer(request: ReceivedRequest) -> Reply:
        text = request.form["query"]
        if "evil" in text:
            return trouble
        return series_of(*(name for name in ("good", "other") if name in text))

    server.answer = answer
    for end in (END, END + STEP, END + 2 * STEP):
        pending = {
            name: batcher.ask(queries(name, ERRORS), end - 300, end, STEP)
            for name in ("evil", "good", "other")
        }
        found = {name: one.answers() for name, one in pending.items() if one.wait(20)}
    assert isinstance(found["good"]["errors.total"], FoundSeries)
    assert isinstance(found["other"]["errors.total"], FoundSeries)
    assert isinstance(found["evil"]["errors.total"], Unavailable | NoData)


def test_who_failed_by_itself_is_left_out_of_the_next_merged_query(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """So the others wait for it once."""
    server.answer = slow_where(lambda text: "evil" in text)
    for end in (END, END + STEP):
        pending = [
            batcher.ask(queries(name, ERRORS), end - 300, end, STEP) for name in ("evil", "good")
        ]
        assert all(one.wait(20) for one in pending)
    server.requests.clear()
    end = END + 2 * STEP
    good = batcher.ask(queries("good", ERRORS), end - 300, end, STEP)
    assert good.wait(20)
    assert isinstance(good.answers()["errors.total"], FoundSeries)
    assert all("evil" not in one.form["query"] for one in server.requests)


def test_within_a_namespace_each_metric_is_asked_by_itself_where_all_together_fail(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """The pool's series are too many; the errors are judged all the same."""

    def answer(request: ReceivedRequest) -> Reply:
        heavy = "psycopg" in request.form["query"] or "pool_size" in request.form["query"]
        return refused(422, "too many samples") if heavy else series_of("good")

    server.answer = answer
    found = batcher.read(queries("good", ERRORS, POOL), END - 300, END, STEP)
    assert isinstance(found["errors.total"], FoundSeries)


def test_nothing_is_split_while_the_server_is_down(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """It would be asked many times more, by everybody."""
    server.answer = lambda _: Reply(hold=True)
    names = [f"tenant{number}" for number in range(30)]
    for name in names:  # known from now on
        batcher.ask(queries(name, ERRORS), END - 300, END, STEP).wait(20)
    server.requests.clear()
    pending = [batcher.ask(queries(name, ERRORS), END - 295, END + STEP, STEP) for name in names]
    assert all(one.wait(20) for one in pending)
    assert len(server.requests) <= 2 * 3
    answer = pending[0].answers()["errors.total"]
    assert isinstance(answer, Unavailable)
    assert answer.server_down


def test_an_answer_that_is_too_large_is_read_no_further_than_its_bound(
    server: HttpServer,
) -> None:
    """One value needs no more than a mebibyte."""
    server.answer = lambda _: series_of("good", padding="x" * (2 << 20))
    options = PrometheusOptions(server.url)
    with closing(Prometheus(options)) as source:
        own = queries("good", Metric(name="own", query="up", max=1.0))
        answer = source.read(own, END - 300, END, STEP)["own"]
    assert isinstance(answer, NoData)
    assert "at most 1,048,576 bytes" in answer.why


def test_the_release_waits_for_its_answers_without_a_thread_of_its_own(
    server: HttpServer, batcher: QueryBatcher
) -> None:
    """A hundred releases that ask in vain leave as many threads as before."""
    server.answer = slow_where(lambda text: SLOW in text)
    for number in range(100):
        batcher.ask(queries(f"evil{number}", *OWN), END - 300, END, STEP)
    named = [one.name for one in threading.enumerate()]
    assert sum(name.startswith("own-queries") for name in named) <= 8
