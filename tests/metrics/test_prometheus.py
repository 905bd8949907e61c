"""What Prometheus is asked, byte for byte, and what becomes of each way in which it can fail."""

import contextlib
import json
import re
import tracemalloc
from dataclasses import replace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    Member,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.metrics.circuit_breaker import CircuitBreaker
from canary.metrics.prometheus import MAX_POINTS, Prometheus, PrometheusOptions
from canary.metrics.promql import escape_regex, format_promql, one_of
from canary.metrics.query_api import DecodedResponse
from tests.http_server import HttpServer, Reply

QUERY = SeriesQuery(
    "q", Selector("http_requests_total", (Matcher("pod", MatchOp.REGEX, "a|b"),)), ("pod",)
)
JSON = {"Content-Type": "application/json"}


def matrix(*rows: tuple[dict[str, str], list[list[object]]], **more: object) -> Reply:
    """Prometheus' answer to a range query."""
    result = [{"metric": labels, "values": values} for labels, values in rows]
    data = {"resultType": "matrix", "result": result}
    return Reply(json.dumps({"status": "success", "data": data} | more).encode(), headers=JSON)


def error(status: int, text: str) -> Reply:
    """Prometheus' way to say no."""
    body = {"status": "error", "errorType": "x", "error": text}
    return Reply(json.dumps(body).encode(), status, JSON)


@pytest.fixture
def ask(server: HttpServer):
    """Reads QUERY from the scripted server with the given options."""
    sources: list[Prometheus] = []

    def read(*, query: SeriesQuery = QUERY, span: float = 2, **options):
        defaults = {"attempts": 2, "read_timeout": 5.0, "failures": 100}
        source = Prometheus(PrometheusOptions(server.url, **(defaults | options)))
        sources.append(source)
        return source.read([query], 100, 100 + span, 1)[query.key]

    yield read
    for source in sources:
        source.close()


def test_a_read_is_one_post_with_the_query_in_the_body(server, ask):
    """Nothing of it stands in the URL, and times are whole seconds."""
    server.answer = lambda _: matrix(({"pod": "a"}, [[100, "1"], [101, "2"]]))
    assert ask() == FoundSeries((Series({"pod": "a"}, ((100.0, 1.0), (101.0, 2.0))),))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/api/v1/query_range")
    assert request.form == {
        "query": 'sum by (pod) (http_requests_total{pod=~"a|b"})',
        "start": "100",
        "end": "102",
        "step": "1",
        "timeout": "5s",
        "limit": "20001",
    }


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        pytest.param(error(500, "broken"), Unavailable, "HTTP 500: broken", id="500"),
        pytest.param(error(503, "loading"), Unavailable, "HTTP 503: loading", id="503"),
        pytest.param(error(422, "too many samples"), Unavailable, "too many samples", id="422"),
        pytest.param(error(401, "who"), Unavailable, "who; check the credentials", id="401"),
        pytest.param(
            Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
            Unavailable,
            "check that this is the address of a Prometheus API",
            id="a log-in page",
        ),
        pytest.param(Reply(b'{"status": "succ'), Unavailable, "Prometheus' JSON", id="half JSON"),
        pytest.param(Reply(b"[]"), Unavailable, "Prometheus' JSON", id="JSON of another kind"),
        pytest.param(
            Reply(b"{}", headers={"Content-Length": "100"}),
            Unavailable,
            "ended early",
            id="an answer that breaks off",
        ),
        pytest.param(
            Reply(status=302, headers={"Location": "https://sso.example.com/"}),
            Unavailable,
            "configure that address",
            id="a redirect is not followed with our credentials",
        ),
        pytest.param(
            matrix(({}, [[100, "1"]]), warnings=["store 2 is down"]),
            NoData,
            "a partial answer: store 2 is down",
            id="a partial answer never looks whole",
        ),
        pytest.param(
            matrix(({}, [[100, "1"]]), isPartial=True),
            NoData,
            "a partial answer: isPartial is true",
            id="p12: VictoriaMetrics with a storage node away",
        ),
        pytest.param(
            matrix(({}, [[100, "1"]]), infos=["result truncated"]),
            NoData,
            "truncated",
            id="an info that is no hint of style",
        ),
        pytest.param(matrix(), NoData, "matches no series", id="nothing there"),
        pytest.param(
            matrix(({}, [[100, "NaN"], [101, "+Inf"]])), NoData, "NaN or infinite", id="only NaN"
        ),
        pytest.param(
            Reply(b'{"status": "success", "data": {"result": [1, "2"]}}'),
            Unavailable,
            "expected series",
            id="a scalar",
        ),
        pytest.param(
            Reply(b'{"status": "success"}'),
            Unavailable,
            "expected series",
            id="no data at all",
        ),
    ],
)
def test_a_failure_is_a_value_with_a_sentence(server, ask, reply, kind, words):
    """Never an exception, and the sentence says what was found."""
    server.answer = lambda _: reply
    answer = ask()
    assert isinstance(answer, kind)
    assert words in answer.why


THANOS_STORE = (
    'receive series from Addr: 10.0.0.7:10901 LabelSets: {replica="a"} MinTime: 1730222825216 '
    "MaxTime: 1731412800000: rpc error: code = Unavailable desc = connection refused"
)
MIMIR_ADVICE = (
    "Consider reducing the time range and/or number of series selected by the query. One way to "
    "reduce the number of selected series is to add more label matchers to the query. Otherwise, "
    "to adjust the related per-tenant limit, configure -querier.max-fetched-chunks-per-query, or "
    "contact your service administrator."
)
MIMIR_CHUNKS = (
    "the query exceeded the maximum number of chunks (limit: 2 chunks) "
    f"(err-mimir-max-chunks-per-query). {MIMIR_ADVICE}"
)
ONE_SERIES = ({"pod": "a"}, [[100, "1"]])


def failed(status: int, error_type: str, text: str) -> Reply:
    """An error, in the envelope of Prometheus' HTTP API."""
    body = {"status": "error", "errorType": error_type, "error": text}
    return Reply(json.dumps(body).encode(), status, JSON)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        pytest.param(
            matrix(ONE_SERIES, warnings=[THANOS_STORE]),
            NoData, "a partial answer: receive series from Addr: 10.0.0.7:10901",
            id="Thanos, a store is away, partial_response=true (its default)",
        ),
        pytest.param(
            failed(422, "execution", f"expanding series: proxy Series(): {THANOS_STORE}"),
            Unavailable, "HTTP 422: expanding series: proxy Series(): receive series",
            id="Thanos, a store is away, partial_response=false",
        ),
        pytest.param(
            failed(500, "internal", f"expanding series: {THANOS_STORE}"),
            Unavailable, "HTTP 500: expanding series",
            id="Thanos, a store is away, an engine that says that it was the storage",
        ),
        pytest.param(
            matrix(warnings=["No StoreAPIs matched for this query"] * 2),
            NoData, "No StoreAPIs matched for this query",
            id="Thanos, no store has this time or these labels: a warning, nothing is missing",
        ),
        pytest.param(
            matrix(ONE_SERIES, warnings=[
                'PromQL info: metric might not be a counter, name does not end in _total: "hits"']),
            FoundSeries, "", id="Thanos, a hint of style among the warnings",
        ),
        pytest.param(
            matrix(ONE_SERIES, isPartial=True, stats={"seriesFetched": "1", "executionTimeMsec": 3}),
            NoData, "isPartial is true",
            id="VictoriaMetrics, a storage node is away",
        ),
        pytest.param(
            failed(503, "503", "cannot fetch query results from vmstorage nodes: cannot connect"),
            Unavailable, "HTTP 503: cannot fetch query results",
            id="VictoriaMetrics, a storage node is away, deny_partial_response=1",
        ),
        pytest.param(
            failed(422, "422", "cannot select more than -search.maxSamplesPerQuery=1000 samples"),
            Unavailable, "maxSamplesPerQuery", id="VictoriaMetrics, a query that is too large",
        ),
        pytest.param(
            matrix(ONE_SERIES, isPartial=False, stats={"seriesFetched": "1"}),
            FoundSeries, "", id="VictoriaMetrics, complete",
        ),
        pytest.param(
            failed(422, "execution", MIMIR_CHUNKS), Unavailable,
            "HTTP 422: the query exceeded the maximum number of chunks (limit: 2 chunks) "
            "(err-mimir-max-chunks-per-query)",
            id="Mimir, a limit",
        ),
        pytest.param(
            failed(429, "too_many_requests", "too many outstanding requests"),
            Unavailable, "HTTP 429", id="Mimir, a tenant's queue is full",
        ),
        pytest.param(
            failed(413, "too_large_entry", "the response is larger than the limit"),
            Unavailable, "HTTP 413", id="Mimir, an answer that is too large for its own parts",
        ),
        pytest.param(
            failed(503, "timeout", "the query timed out in expression evaluation"),
            Unavailable, "HTTP 503: the query timed out", id="Mimir, a query that takes too long",
        ),
        pytest.param(
            Reply(b"no org id\n", 401), Unavailable,
            "HTTP 401: Unauthorized; check the credentials (--prometheus-config)",
            id="Mimir without X-Scope-OrgID",
        ),
        pytest.param(
            matrix(ONE_SERIES, warnings=[], infos=[
                "PromQL info: metric might not be a counter, name does not end in _total"]),
            FoundSeries, "", id="Mimir, a hint of style",
        ),
    ],
)  # fmt: skip
def test_the_documented_answers_of_thanos_mimir_and_victoria_metrics(
    server, ask, reply, kind, words
):
    """What is incomplete is never a number, whoever says so and how.

    Taken from these files:

    * thanos-io/thanos, docs/components/query.md at 003eb7a, "Partial Response": `partial_response`
      (default true) turns the error of a store into a warning with status 200, and a warning need
      not mean that something is missing. The warnings are those of test/e2e/rule_test.go
      and pkg/store/proxy.go (`ErrorNoStoresMatched`). pkg/api/query/v1.go answers an error of the
      storage with `internal` (500), and any other with `execution` (422). Issue 7354: hints of the
      PromQL engine are among the warnings.
    * VictoriaMetrics/VictoriaMetrics, docs/victoriametrics/Cluster-VictoriaMetrics.md, "Cluster
      availability": every partial JSON answer has `"isPartial": true`; with
      `deny_partial_response=1` there is an error. app/vmselect/prometheus/error_response.qtpl at
      1836c41: `errorType` is the HTTP status.
    * grafana/mimir, pkg/api/error/error.go at 0d515d0: types of errors and their HTTP status; the
      message of a limit is that of the tests in pkg/querier and pkg/storegateway. Mimir has no
      partial answers.

    No file was at hand for the texts of VictoriaMetrics' two errors, and of Mimir's full queue, too
    large entry and missing tenant; only their status and envelope are documented.
    """
    server.answer = lambda one: matrix() if "vector" in one.form["query"] else reply
    answer = ask(attempts=1)
    assert isinstance(answer, kind)
    assert words in getattr(answer, "why", "")
    assert not getattr(answer, "server_down", False)


def test_a_hanging_server_costs_one_time_out(server, ask):
    """It is not asked again, neither for the same query nor for the next, but by one probe."""
    server.answer = lambda _: Reply(hold=True)
    answer = ask(read_timeout=1.0)
    assert isinstance(answer, Unavailable)
    assert "no answer within 1 s" in answer.why
    assert answer.server_down
    assert [one.form["query"] for one in server.requests[1:]] == ["vector(1)"]


def test_nobody_listens():
    """A refused connection is Unavailable, and the rest of the queries is not tried."""
    gone = HttpServer()
    gone.close()
    with contextlib.closing(Prometheus(PrometheusOptions(gone.url, attempts=2))) as source:
        other = SeriesQuery("other", Selector("x"), ())
        answers = source.read([QUERY, other], 0, 1, 1)
    assert all(isinstance(a, Unavailable) and "refused" in a.why for a in answers.values())
    assert answers.keys() == {"q", "other"}


def test_what_is_transient_is_tried_again(server, ask):
    """One 503 between two moments of health is not an outage."""
    replies = iter([error(503, "starting"), matrix(({"pod": "a"}, [[100, "1"]]))])
    server.answer = lambda _: next(replies)
    assert isinstance(ask(), FoundSeries)


def test_what_is_refused_is_not_tried_again(server, ask):
    """A query that is wrong stays wrong."""
    server.answer = lambda _: error(400, "parse error")
    ask(attempts=3)
    assert len(server.requests) == 1


def test_points_that_are_no_numbers_are_absent(server, ask):
    """The other points stay."""
    server.answer = lambda _: matrix(({"pod": "a"}, [[100, "NaN"], [101, "2"]]))
    assert ask() == FoundSeries((Series({"pod": "a"}, ((101.0, 2.0),)),))


def test_labels_that_are_called_like_the_fields_of_a_series_are_labels(server, ask):
    """Users choose the names."""
    labels = {"metric": "m", "values": "v", "value": "1", "histogram": "h"}
    server.answer = lambda _: matrix((labels, [[100, "5"]]))
    assert ask() == FoundSeries((Series(labels, ((100.0, 5.0),)),))


def test_the_text_of_one_series_is_freed_before_the_next_is_decoded():
    """The texts of all series take more memory than their numbers, at each scrape interval."""
    points = [[1_800_000_000.123 + 5 * number, f"{number}.25"] for number in range(200)]
    reply = matrix(*(({"pod": f"auth-{number}"}, points) for number in range(100)))
    response = requests.Response()
    response._content, response.status_code = reply.body, 200
    tracemalloc.start()
    try:
        decoded = DecodedResponse(response)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(decoded.json()["data"]["result"]) == 100
    assert peak < 1.6 * held


def test_long_ranges_are_cut_into_slices_that_prometheus_accepts(server, ask):
    """And put together again, each time once."""

    def answer(request):
        start, end = int(request.form["start"]), int(request.form["end"])
        assert end - start < MAX_POINTS
        return matrix(({"pod": "a"}, [[t, str(t)] for t in range(start, end + 1)]))

    server.answer = answer
    found = ask(span=2 * MAX_POINTS)
    assert isinstance(found, FoundSeries)
    assert [t for t, _ in found.series[0].points] == list(range(100, 2 * MAX_POINTS + 101))
    assert len(server.requests) == 3


def test_an_answer_that_is_too_large_is_not_read_to_its_end(server, ask):
    """Memory is bounded."""
    server.answer = lambda _: Reply(b"x" * 100_000, headers=JSON)
    answer = ask(max_bytes=1000)
    assert isinstance(answer, NoData)
    assert answer.partial
    assert (
        "expected an answer of at most 1,000 bytes, found more; give the metric more conditions"
        in answer.why
    )
    assert len(server.requests) == 1


def test_why_nobody_could_be_reached_is_said_without_the_libraries_words():
    """One reason, not the wrapping of three libraries."""
    gone = HttpServer()
    gone.close()
    with contextlib.closing(Prometheus(PrometheusOptions(gone.url, attempts=1))) as source:
        answer = source.read([QUERY], 0, 1, 1)["q"]
    assert isinstance(answer, Unavailable)
    assert answer.why == f"{gone.url}: cannot connect: Connection refused"


def test_an_open_breaker_answers_without_asking(server):
    """After three outages nobody is asked; after the rest one query closes it again."""
    time = [0.0]
    server.answer = lambda _: error(500, "broken")
    source = Prometheus(
        PrometheusOptions(server.url, attempts=1, failures=3, rest=10), lambda: time[0]
    )
    for _ in range(5):
        source.read([QUERY], 0, 1, 1)
    assert [one.form["query"] for one in server.requests].count("vector(1)") == 3
    assert len(server.requests) == 6
    answer = source.read([QUERY], 0, 1, 1)["q"]
    assert isinstance(answer, Unavailable)
    assert "next attempt in 10 s" in answer.why
    time[0] = 11.0
    server.answer = lambda _: matrix(({}, [[0, "1"]]))
    assert isinstance(source.read([QUERY], 0, 1, 1)["q"], FoundSeries)
    assert isinstance(source.read([QUERY], 0, 1, 1)["q"], FoundSeries)
    source.close()


def test_a_query_that_fails_counts_against_its_asker_alone(server):
    """The server answers the probe and the others, so only this asker has to wait."""

    def answer(request):
        slow = "slow" in request.form["query"]
        return error(500, "too slow") if slow else matrix(({"pod": "a"}, [[100, "1"]]))

    server.answer = answer
    source = Prometheus(PrometheusOptions(server.url, attempts=1, failures=3, rest=10), lambda: 0.0)
    for _ in range(4):
        slow = SeriesQuery("q", Selector("slow"), ("pod",), asker="tenant")
        refused = source.read([slow], 0, 1, 1)["q"]
    assert isinstance(refused, Unavailable)
    assert "queries of tenant failed 3 times in a row" in refused.why
    assert not refused.server_down
    other = replace(QUERY, asker="other")
    assert isinstance(source.read([other], 0, 1, 1)["q"], FoundSeries)
    source.close()


def test_prometheus_own_time_out_is_not_asked_again(server, ask):
    """It says 503 then, which otherwise means that it is starting."""
    body = b'{"status": "error", "errorType": "timeout", "error": "query timed out"}'
    slow = Reply(body, 503, JSON)
    server.answer = lambda one: matrix() if "vector" in one.form["query"] else slow
    answer = ask(attempts=3)
    assert isinstance(answer, Unavailable)
    assert "query timed out" in answer.why
    assert len(server.requests) == 2


def test_a_tenants_own_expression_may_have_one_value(server, ask):
    """Prometheus is asked for no more than tells of a second one, and for no longer."""
    server.answer = lambda _: matrix(
        ({"pod": "a"}, [[100, "1"]]),
        ({"pod": "b"}, [[100, "1"]]),
        warnings=["results truncated due to limit"],
    )
    own = SeriesQuery("q", Selector("own"), (), promql="up", asker="tenant")
    answer = ask(query=own)
    assert isinstance(answer, NoData)
    assert "expected one value: put sum(…) or max(…)" in answer.why
    form = server.requests[0].form
    assert (form["limit"], form["timeout"]) == ("2", "5s")


def test_a_half_open_breaker_lets_one_caller_through():
    """The others wait for the outcome of the probe."""
    time = [0.0]
    breaker = CircuitBreaker(1, 10, lambda: time[0])
    breaker.record_failure()
    assert not breaker.allows_query()
    time[0] = 10.0
    assert [breaker.allows_query(), breaker.allows_query()] == [True, False]
    breaker.record_success()
    assert breaker.allows_query()


def test_values_settle_after_the_lag():
    """Whole seconds, so that the grid does not wander."""
    source = Prometheus(PrometheusOptions("http://localhost:1", lag=2))
    assert source.final_until(100.9) == 98.0
    source.close()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param(
            SeriesQuery("q", Selector("a"), ("pod", "ns")), "sum by (pod, ns) (a)", id="a sum"
        ),
        pytest.param(
            SeriesQuery(
                "q",
                Selector("a", (Matcher("l", MatchOp.EQUAL, "v"),)),
                ("pod",),
                member=Member("pod", "x|y", "namespace", "prod"),
                also=("b",),
            ),
            'sum by (pod) ({__name__=~"a|b",l="v",namespace="prod",pod=~"x|y"})',
            id="two metrics of one member",
        ),
        pytest.param(
            SeriesQuery(
                "q", Selector("a", (Matcher("l", MatchOp.EQUAL, 'x"} or up{y="\\\n'),)), ()
            ),
            r'sum by () (a{l="x\"} or up{y=\"\\\n"})',
            id="quotes, backslashes and newlines stay in the value",
        ),
        pytest.param(
            SeriesQuery("q", Selector("a"), (), promql="rate(x[1m])"), "rate(x[1m])", id="one's own"
        ),
    ],
)
def test_query_text(query, text):
    """The exact text."""
    assert format_promql(query) == text


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(SeriesQuery("q", Selector("up} or x"), ()), id="a metric's name"),
        pytest.param(SeriesQuery("q", Selector("up"), ("a) (x) or (y",)), id="a group's label"),
        pytest.param(
            SeriesQuery("q", Selector("up", (Matcher('a="b",c', MatchOp.EQUAL, ""),)), ()),
            id="a label",
        ),
        pytest.param(
            SeriesQuery("q", Selector("up", (Matcher("__name__", MatchOp.REGEX, ".*"),)), ()),
            id="a second name",
        ),
        pytest.param(
            SeriesQuery("q", Selector("up", (Matcher("a", MatchOp.EQUAL, "\ud800"),)), ()),
            id="half a character",
        ),
    ],
)
def test_what_is_no_name_is_never_asked(server, ask, query):
    """A name in a resource cannot inject PromQL."""
    assert isinstance(ask(query=query), Unavailable)
    assert server.requests == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4), st.text())
def test_a_regular_expression_of_names_matches_just_these(names, other):
    """In full, whatever is special in them."""
    pattern = one_of(tuple(names))
    assert all(re.fullmatch(pattern, name) for name in names)
    assert (re.fullmatch(pattern, other) is not None) == (other in names)
    assert re.fullmatch(escape_regex(other), other)
