"""The scrape source: pages good and broken, memory, and what a read makes of it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.metrics.exposition import PageError, parse_samples
from canary.metrics.history import LOOKBACK
from canary.metrics.scrape import Scrape, ScrapeOptions, ScrapeTarget
from canary.metrics.store import Store
from tests.http_server import HttpServer, Reply

QUERY = SeriesQuery("q", Selector("hits"), ("pod",))
PAGE = b"# TYPE hits counter\nhits 5\nother 1\n"


@pytest.fixture
def target(server: HttpServer) -> ScrapeTarget:
    """The scripted server as pod `a`."""
    return ScrapeTarget(f"{server.url}/metrics", {"pod": "a"})


@pytest.fixture
def scrape(target):
    """A source with that one target, which it may lose: `scrape.targets` is a list."""
    targets = [target]
    with contextlib.closing(Scrape(lambda: targets, [QUERY], ScrapeOptions(timeout=1.0))) as one:
        one.targets = targets
        yield one


def answer(scrape: Scrape, start: float, end: float):
    """What QUERY reads on a grid of one second."""
    return scrape.read([QUERY], start, end, 1)["q"]


def points(scrape: Scrape, start: float, end: float):
    """The points of QUERY's only series."""
    found = answer(scrape, start, end)
    assert isinstance(found, FoundSeries), found
    return found.series[0].points


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(Reply(b"\x00\xff\xfe\x01"), "UTF-8 text", id="binary garbage"),
        pytest.param(
            Reply(PAGE, headers={"Content-Length": "500"}),
            "broke off",
            id="half a page of a whole",
        ),
        pytest.param(Reply(b""), "empty", id="nothing"),
        pytest.param(Reply(b"<html>hello</html>\n"), "line 1 is not a sample", id="HTML"),
        pytest.param(Reply(b"hits many\n"), "line 1 is not a sample", id="a word for a number"),
        pytest.param(Reply(b'hits{a="b} 3\n'), "line 1 is not a sample", id="an open quote"),
        pytest.param(Reply(b"no", 500), "HTTP 500", id="500"),
        pytest.param(Reply(status=302, headers={"Location": "/x"}), "HTTP 302", id="a redirect"),
        pytest.param(Reply(b"hits 5\n" * 3_000_000), "larger than", id="too large"),
        pytest.param(
            Reply(b"hits 5\n", headers={"Content-Type": "application/openmetrics-text"}),
            "expected '# EOF'",
            id="OpenMetrics without its end",
        ),
    ],
)
def test_a_broken_page_is_a_failure_and_ends_the_series(server, scrape, reply, words):
    """It never raises, and no half of it is taken."""
    server.answer = lambda _: Reply(PAGE)
    assert scrape.poll(10) == ()
    server.answer = lambda _: reply
    (failure,) = scrape.poll(11)
    assert any(word in failure.why for word in words.split("|")), failure
    assert points(scrape, 10, 12) == ((10, 5.0),)


def test_e01_a_page_whose_length_is_known_needs_no_last_newline(server, scrape):
    """Prometheus takes it as well."""
    server.answer = lambda _: Reply(b"other 1\nhits 7")
    assert scrape.poll(10) == ()
    assert points(scrape, 10, 10) == ((10, 7.0),)


def test_a_hanging_target_does_not_hold_up_the_others(server, target):
    """And is not asked again before its first answer is over."""
    server.answer = lambda request: Reply(PAGE, hold=request.path == "/hangs")
    hanging = ScrapeTarget(f"{server.url}/hangs", {"pod": "b"})
    options = ScrapeOptions(timeout=0.2)
    with contextlib.closing(Scrape(lambda: [target, hanging], [QUERY], options)) as scrape:
        for t in (1, 2):
            (failure,) = scrape.poll(t)
            assert failure.url == hanging.url
        assert answer(scrape, 2, 2) == FoundSeries((Series({"pod": "a"}, ((2.0, 5.0),)),))


def test_a_vanished_target_ends_and_a_returned_one_goes_on(server, scrape, target):
    """Between the two there is no value, whatever the lookback."""
    server.answer = lambda _: Reply(PAGE)
    for t, present in ((1, True), (2, False), (3, False), (4, True)):
        scrape.targets[:] = [target] if present else []
        scrape.poll(t)
    assert [t for t, _ in points(scrape, 1, 5)] == [1, 4, 5]


def test_a_series_that_leaves_the_page_ends(server, scrape):
    """As in Prometheus."""
    server.answer = lambda _: Reply(PAGE)
    scrape.poll(1)
    server.answer = lambda _: Reply(b"other 1\n")
    scrape.poll(2)
    assert points(scrape, 1, 3) == ((1, 5.0),)


def test_a_value_lasts_for_the_lookback(server, scrape):
    """When nobody polls, the last sample is the present one for five minutes."""
    server.answer = lambda _: Reply(PAGE)
    scrape.poll(1)
    assert points(scrape, LOOKBACK, LOOKBACK + 10) == ((LOOKBACK, 5.0),)


def test_labels_of_the_target_win_and_those_of_the_page_are_renamed(server, scrape):
    """Also here, as in Prometheus."""
    server.answer = lambda _: Reply(b'hits{pod="liar",code="200",empty=""} 1\n')
    scrape.poll(1)
    query = SeriesQuery("q", Selector("hits"), ("pod", "exported_pod", "code", "empty", "instance"))
    scrape.read([query], 1, 1, 1)
    found = scrape.read([query], 1, 1, 1)["q"]
    assert isinstance(found, FoundSeries)
    assert found.series[0].labels == {
        "pod": "a",
        "exported_pod": "liar",
        "code": "200",
        "instance": server.address,
    }


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        pytest.param(Matcher("code", MatchOp.EQUAL, "200"), 1, id="equal"),
        pytest.param(Matcher("code", MatchOp.NOT_EQUAL, "200"), 6, id="not equal, also absent"),
        pytest.param(Matcher("code", MatchOp.REGEX, "5.."), 2, id="matches in full"),
        pytest.param(Matcher("code", MatchOp.NOT_REGEX, "5..|2"), 5, id="does not match"),
        pytest.param(Matcher("code", MatchOp.EQUAL, ""), 4, id="empty means absent"),
        pytest.param(Matcher("code", MatchOp.REGEX, "|200"), 5, id="absent matches empty"),
    ],
)
def test_matchers_select_as_in_promql(server, scrape, matcher, expected):
    """1 of code 200, 2 of code 500, 4 without a code."""
    server.answer = lambda _: Reply(b'hits{code="200"} 1\nhits{code="500"} 2\nhits 4\n')
    query = SeriesQuery("m", Selector("hits", (matcher,)), ())
    scrape.poll(1)
    found = scrape.read([query], 1, 1, 1)["m"]
    assert found == FoundSeries((Series({}, ((1.0, float(expected)),)),))


def test_a_query_is_known_from_its_first_read_on(server, scrape):
    """It says that it found nothing, and has data after the next poll."""
    server.answer = lambda _: Reply(PAGE)
    scrape.poll(1)
    query = SeriesQuery("new", Selector("other"), ())
    assert isinstance(scrape.read([query], 1, 1, 1)["new"], NoData)
    scrape.poll(2)
    assert isinstance(scrape.read([query], 2, 2, 1)["new"], FoundSeries)


def test_silence_has_a_reason(server, scrape):
    """Nothing polled, no target, no such metric, nothing reachable."""
    first = answer(scrape, 0, 1)
    server.answer = lambda _: Reply(b"else 1\n")
    scrape.poll(1)
    second = answer(scrape, 0, 1)
    server.answer = lambda _: Reply(status=503)
    scrape.poll(2)
    third = answer(scrape, 0, 2)
    scrape.targets.clear()
    scrape.poll(3)
    fourth = answer(scrape, 0, 3)
    assert isinstance(third, Unavailable)
    assert all(isinstance(a, NoData) for a in (first, second, fourth))
    for silence, words in (
        (first, "nothing has been scraped yet"),
        (second, "none has had hits"),
        (third, "none of 1 targets could be scraped"),
        (fourth, "no target"),
    ):
        assert words in silence.why


def test_what_cannot_be_evaluated_says_so(scrape):
    """A user's PromQL, and a regular expression that is none."""
    own = SeriesQuery("own", Selector("x"), (), promql="rate(x[1m])")
    wrong = SeriesQuery("wrong", Selector("hits", (Matcher("a", MatchOp.REGEX, "("),)), ())
    answers = scrape.read([own, wrong], 0, 1, 1)
    assert "`prometheus`" in answers["own"].why
    assert "regular expression" in answers["wrong"].why


def test_a_wrong_regular_expression_does_not_stop_the_polling(server, scrape):
    """The other queries keep their data."""
    wrong = SeriesQuery("wrong", Selector("hits", (Matcher("a", MatchOp.REGEX, "("),)), ())
    server.answer = lambda _: Reply(PAGE)
    scrape.read([wrong], 0, 1, 1)
    scrape.poll(1)
    assert points(scrape, 1, 1) == ((1, 5.0),)


def test_values_settle_with_the_poll(server, scrape):
    """Not before: a poll under way may still add to its second."""
    server.answer = lambda _: Reply(PAGE)
    assert scrape.final_until(5) == 0
    scrape.poll(5.7)
    assert scrape.final_until(9) == 5


def test_memory_is_bounded_by_what_is_asked_and_how_far_back():
    """Old samples go, series nobody asks for never come, unused queries are forgotten."""
    store = Store(LOOKBACK)
    target = ScrapeTarget("http://pod/metrics", {})
    store.request_series([QUERY.selector], 0)
    for t in range(3 * int(LOOKBACK)):
        if t < 2 * LOOKBACK:
            store.request_series([QUERY.selector], t)
        store.add_scrape(target, parse_samples(PAGE, "text/plain", {"hits", "other"}), t)
        store.drop_old_samples([target], t)
    (history,) = store.select(QUERY.selector)
    assert len(history) <= 2 * LOOKBACK
    assert store.select(Selector("other")) == []
    store.drop_old_samples([target], 4 * LOOKBACK)
    assert store.metrics == frozenset()


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        pytest.param(b"hits_total 3\n# EOF\n", "application/openmetrics-text", id="OpenMetrics"),
        pytest.param(b"# TYPE hits_total counter\nhits_total 3\n", "text/plain", id="text"),
        pytest.param(b"hits_total 3 1700000000000\r\n", "text/plain", id="a time, and CRLF"),
        pytest.param(b'hits_total{} 3.0\nx{a="}"} NaN\n', "", id="odd but right"),
    ],
)
def test_names_stay_as_they_stand_on_the_page(page, kind):
    """The parser would rename counters."""
    assert [(s.name, s.value) for s in parse_samples(page, kind, {"hits_total"})] == [
        ("hits_total", 3)
    ]


@given(
    st.one_of(
        st.binary(), st.from_regex(r'(hits(\{[ab="\\,]*\})? ?[0-9eN.]*\n?){0,4}').map(str.encode)
    ),
    st.sampled_from(["text/plain", "application/openmetrics-text"]),
)
def test_no_page_can_do_worse_than_fail(body, kind):
    """Whatever stands there, it is samples or a PageError."""
    with contextlib.suppress(PageError):
        assert all(s.name == "hits" for s in parse_samples(body, kind, {"hits"}))
