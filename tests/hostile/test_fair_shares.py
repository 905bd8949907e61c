"""Threads and room: one namespace's slow servers keep no other's waiting."""

import contextlib
import threading
from collections.abc import Mapping

import pytest

from canary.api import Verdict
from canary.core.series import FoundSeries, NoData, Selector, SeriesQuery
from canary.fair_executor import FairExecutor
from canary.kube.timing import SystemTiming
from canary.kube.workloads.webhooks import Webhooks
from canary.metrics.exposition import PageError, PageLimits, parse_samples
from canary.metrics.scrape import Scrape, ScrapeOptions, ScrapeTarget
from canary.notify.delivery_queue import DeliveryQueue, DeliveryResult, DeliveryTask
from tests.http_server import HttpServer, Reply
from tests.metrics.real_prometheus import wait_until

DEADLINE = 30.0


class Ended:
    """How each task ended, in order."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, DeliveryResult]] = []

    def ended(self, task: DeliveryTask, result: DeliveryResult) -> None:
        self.tasks.append((task.about, result))


def test_slow_checks_of_one_namespace_keep_no_other_waiting():
    """Forty checks that hang, then one of another namespace that does not."""
    over = threading.Event()

    def ask(_url: str, body: Mapping[str, str], _timeout: float) -> int:
        if body["namespace"] == "slow":
            over.wait(DEADLINE)
        return 200

    webhooks = Webhooks(ask)
    for number in range(40):
        webhooks.start("c", "http://x", 1.0, {"id": f"slow-{number}", "namespace": "slow"})
    webhooks.start("c", "http://x", 1.0, {"id": "quick", "namespace": "quick"})
    try:
        wait_until(lambda: _passed(webhooks, "quick"), "the answer")
        assert not over.is_set()
        assert not _passed(webhooks, "slow-0")
    finally:
        over.set()
        webhooks.close()


def _passed(webhooks: Webhooks, question: str) -> bool:
    found = webhooks.result("c", question)
    return found is not None and found.verdict is Verdict.PASS


def test_slow_receivers_of_one_namespace_keep_no_other_waiting():
    """Four hundred lanes that hang, then one of another namespace that does not."""
    over, seen = threading.Event(), Ended()
    box = DeliveryQueue(SystemTiming(), seen)
    for number in range(400):
        box.put(DeliveryTask(f"s{number}", "r", "slow", True, lambda: _wait(over), owner="slow"))
    box.put(DeliveryTask("q", "r", "quick", True, lambda: None, owner="quick"))
    wait_until(lambda: ("quick", DeliveryResult.DELIVERED) in seen.tasks, "the delivery")
    assert not over.is_set()
    over.set()
    box.close(DEADLINE)


def test_a_full_queue_drops_news_of_the_namespace_that_fills_it():
    """However many lanes it spreads them over: another's one lane may be longer than each."""
    over, seen = threading.Event(), Ended()
    box = DeliveryQueue(SystemTiming(), seen, workers=4, capacity=100)
    for number in range(10):
        box.put(
            DeliveryTask("v", "r", f"victim {number}", True, lambda: _wait(over), owner="victim")
        )
    for number in range(300):
        box.put(DeliveryTask(f"f{number}", "r", "flood", True, lambda: _wait(over), owner="flood"))
    assert {about for about, _ in seen.tasks} == {"flood"}
    over.set()
    box.close(DEADLINE)
    assert sum(about.startswith("victim") for about, _ in seen.tasks) == 10


def _wait(over: threading.Event) -> None:
    over.wait(DEADLINE)


def test_slow_pages_of_one_namespace_keep_no_other_waiting(server: HttpServer):
    """Forty pages that hang, read with the same threads as one that does not."""
    server.answer = lambda request: Reply(b"a 1\n", hold="slow" in request.path)
    threads = FairExecutor(6, 4, "scrape")
    slow = [ScrapeTarget(f"{server.url}/slow/{number}", {}) for number in range(40)]
    quick = [ScrapeTarget(f"{server.url}/quick", {})]
    options = ScrapeOptions(timeout=0.3)
    with (
        contextlib.closing(Scrape(lambda: slow, (), options, threads, "slow")) as first,
        contextlib.closing(
            Scrape(lambda: quick, (), ScrapeOptions(timeout=DEADLINE), threads, "quick")
        ) as second,
    ):
        assert len(first.poll(1.0)) == len(slow)
        assert second.poll(1.0) == ()
    threads.close()


LIMITS = PageLimits(size=10_000, lines=100, line=50, series=10)
PAGES = [
    pytest.param("a 1\n" * 101, "at most 100 lines", id="lines"),
    pytest.param('a{b="' + "x" * 60 + '"} 1\n', "line 1: expected at most 50", id="a line"),
    pytest.param(
        "".join(f'a{{b="{n}"}} 1\n' for n in range(11)), "at most 10 requested", id="series"
    ),
]


@pytest.mark.parametrize(("page", "words"), PAGES)
def test_a_page_beyond_its_limits_is_a_failure_that_says_so(page: str, words: str):
    """Half of it would look like a service that forgot half of its counters."""
    with pytest.raises(PageError, match=words):
        parse_samples(page.encode(), "text/plain", {"a"}, limits=LIMITS)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"SECRET instance-id\n"),
        Reply(b"a{SECRET} 1\n"),
        Reply(b"SECRET", status=403),
        Reply(b"a 1\n" * 3000),
    ],
    ids=["no page", "half a page", "an error", "too large"],
)
def test_a_page_that_is_no_page_is_not_repeated(server: HttpServer, reply: Reply):
    """The status of a release is no window into other people's servers."""
    server.answer = lambda _: reply
    target = ScrapeTarget(f"{server.url}/metrics", {})
    options = ScrapeOptions(timeout=5.0, page=LIMITS)
    with contextlib.closing(Scrape(lambda: [target], (), options)) as scrape:
        (failure,) = scrape.poll(1.0)
    assert "SECRET" not in failure.why


def test_series_beyond_what_is_kept_for_a_release_are_no_data_that_says_so(server: HttpServer):
    """Each scrape brings other values of a label; when that ends, so does the silence."""
    scrapes = iter(range(1000))
    page = [""]

    def answer(_: object) -> Reply:
        return Reply(page[0].encode())

    server.answer = answer
    query = SeriesQuery("q", Selector("a"), ("b",), raw=True)
    target = ScrapeTarget(f"{server.url}/metrics", {"pod": "p"})
    options = ScrapeOptions(timeout=DEADLINE, history=0.0, page=PageLimits(series=50))
    with contextlib.closing(Scrape(lambda: [target], [query], options)) as scrape:
        for second in range(1, 10):
            page[0] = "".join(f'a{{b="{next(scrapes)}"}} 1\n' for _ in range(10))
            scrape.poll(float(second))
        (answered,) = scrape.read([query], 0.0, 9.0, 1.0).values()
        assert isinstance(answered, NoData)
        assert answered.partial
        assert "at most 50 series" in answered.why
        for second in range(1000, 1003):
            scrape.poll(float(second))
            scrape.read([query], 990.0, float(second), 1.0)
        assert isinstance(*scrape.read([query], 990.0, 1002.0, 1.0).values(), FoundSeries)
