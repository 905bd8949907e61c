"""Scraping in a cluster: which pages, and a thread that ends."""

import threading
from contextlib import closing
from typing import Any

import pytest

from canary.api import Intent, Status, load_release
from canary.clock import SystemClock
from canary.core.series import FoundSeries, Selector, SeriesQuery
from canary.core.snapshot import ReleaseResource
from canary.fair_executor import FairExecutor
from canary.interfaces import Key
from canary.kube.cached import CachedObjects
from canary.kube.objects import PODS, Object
from canary.metrics.batch import QueryBatcher
from canary.metrics.scrape import ScrapeOptions
from canary.operator.scrapers import Scraper, Scrapers, ScrapeTargets, Scraping, metrics_url
from canary.operator.world_factory import EmptySource, SelectedSource
from tests.http_server import HttpServer, Reply
from tests.in_memory_world import RELEASE
from tests.kube.fake_cluster import FakeCluster
from tests.kube.fixtures_release import KEY, ReleaseOnFakeCluster

SPEC = load_release(
    RELEASE.replace("interval: 5s", "interval: 7s\n    source: scrape"), "tests"
).spec
WISH = ReleaseResource("auth", "prod", 1, SPEC, Status(), "1")


def pod(
    notes: dict[str, str] | None = None, port: dict[str, Any] | None = None, **status: Any
) -> Object:
    """A running pod."""
    ports = [port] if port else []
    return {
        "metadata": {"name": "auth-1", "annotations": notes or {}},
        "spec": {"containers": [{"name": "app"}, {"name": "side", "ports": ports}]},
        "status": {"phase": "Running", "podIP": "10.0.0.7", **status},
    }


PORT = {"prometheus.io/port": "9102"}
CASES = [
    pytest.param(pod(PORT), "http://10.0.0.7:9102/metrics", id="a port by annotation"),
    pytest.param(
        pod({**PORT, "prometheus.io/path": "stats", "prometheus.io/scheme": "https"}),
        "https://10.0.0.7:9102/stats",
        id="path and scheme by annotation",
    ),
    pytest.param(
        pod(port={"name": "metrics", "containerPort": 8081}),
        "http://10.0.0.7:8081/metrics",
        id="a container port of that name",
    ),
    pytest.param(pod(PORT, podIP="fd00::7"), "http://[fd00::7]:9102/metrics", id="an IPv6 address"),
    pytest.param(pod({**PORT, "prometheus.io/scrape": "false"}), None, id="not to be scraped"),
    pytest.param(pod(port={"name": "web", "containerPort": 80}), None, id="no port of metrics"),
    pytest.param(pod(PORT, phase="Pending"), None, id="not running yet"),
    pytest.param(pod(PORT, podIP=None), None, id="no address yet"),
    pytest.param(
        pod({"prometheus.io/port": "80@169.254.169.254"}), None, id="another host as port"
    ),
    pytest.param(pod({"prometheus.io/port": "80/x"}), None, id="a path as port"),
    pytest.param(pod({"prometheus.io/port": "0"}), None, id="no port at all"),
    pytest.param(pod({**PORT, "prometheus.io/path": "/../../api/v1"}), None, id="dot segments"),
    pytest.param(
        pod({**PORT, "prometheus.io/path": "/a b?c#d%2e"}),
        "http://10.0.0.7:9102/a%20b%3Fc%23d%252e",
        id="a path is quoted",
    ),
]


@pytest.mark.parametrize(("found", "url"), CASES)
def test_page(found: Object, url: str | None) -> None:
    """Where a pod's metrics are, as Prometheus' usual annotations say it."""
    assert metrics_url(found) == url


def scraping() -> Scraping:
    """On loopback, where the operator itself does not go."""
    return Scraping(ScrapeOptions(), FairExecutor(2, 2, "scrape"), SystemClock())


PAGE = b'traefik_service_requests_total{service="a",code="200"} 7\n'
"""A router's metrics."""


def test_scraped_while_in_flight(server: HttpServer) -> None:
    """The router's page is read at whole seconds, and each time the release is woken."""
    server.answer = lambda _: Reply(PAGE, headers={"Content-Type": "text/plain; version=0.0.4"})
    url = f"{server.url}/metrics"
    query = SeriesQuery("q", Selector("traefik_service_requests_total"), ("service",))
    polled = threading.Semaphore(0)
    objects = CachedObjects(FakeCluster(), ())

    def start(key, target: str, interval: float) -> Scraper:
        pages = ScrapeTargets(objects, key, target, url)
        return Scraper(pages, interval, scraping(), polled.release)

    scrapers = Scrapers(start)
    assert scrapers.get(KEY) is None
    scrapers.start(KEY, "auth", 1.0)
    source = scrapers.get(KEY)
    assert source is not None
    scrapers.start(KEY, "auth", 1.0)
    assert scrapers.get(KEY) is source
    source.read([query], 0.0, 1.0, 1.0)
    assert polled.acquire(timeout=20)
    end = source.final_until(SystemClock().now() + 10)
    assert end % 1 == 0
    found = source.read([query], end, end, 1.0)["q"]
    assert isinstance(found, FoundSeries)
    assert found.series[0].points == ((end, 7.0),)
    scrapers.start(KEY, "auth", 2.0)
    assert scrapers.get(KEY) is not source
    scrapers.close()


def test_pages_of_both_sides() -> None:
    """Pods of the target and of the canary, with their names as labels."""
    stage = ReleaseOnFakeCluster()
    for one in stage.cluster.list(PODS, "prod", {}):
        one["status"]["podIP"] = "10.0.0.9"
        one["metadata"]["annotations"] = PORT
        stage.cluster.put(PODS, one)
    pages = ScrapeTargets(CachedObjects(stage.cluster, ()), KEY, "auth", None)
    found = list(pages.targets())
    assert {target.labels["namespace"] for target in found} == {"prod"}
    assert len({target.labels["pod"] for target in found}) == 4


def test_a_release_is_scraped_from_the_end_of_the_pass_in_which_it_began() -> None:
    """Reading it starts no thread; at rest it is scraped no more."""
    started: list[tuple[Key, str, float]] = []

    def start(key: Key, target: str, interval: float) -> Scraper:
        started.append((key, target, interval))
        pages = ScrapeTargets(CachedObjects(FakeCluster(), ()), key, target, None)
        return Scraper(pages, interval, scraping(), lambda: None)

    with closing(Scrapers(start)) as scrapers, closing(QueryBatcher(EmptySource())) as batcher:
        source = SelectedSource(lambda _: batcher, lambda: None, scrapers)
        source.select(WISH)
        assert source.final_until(1000.0) == 0.0
        assert not started
        source.follow(Status(intent=Intent.ADVANCE), None)
        assert started == [(Key("prod", "auth"), "auth", 7.0)]
        source.follow(Status(intent=Intent.REST), None)
        assert scrapers.get(KEY) is None
