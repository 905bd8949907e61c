"""The demo's sources of metrics: the metrics pages, or a real Prometheus."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from canary.demo.cluster.prometheus import ScrapeEndpoint, start_prometheus
from canary.demo.environment import DemoEnvironment
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.scrape import Scrape

PROMETHEUS_INTERVAL = 5.0
"""Seconds between two scrapes of the Prometheus that the demo may start."""


@contextmanager
def scrape_pages(environment: DemoEnvironment) -> Iterator[Scrape]:
    """Scrape all metrics pages once a second in a thread."""
    scrape = Scrape(environment.cluster.targets)
    over = threading.Event()

    def every_second() -> None:
        while not over.wait(1.0 - environment.clock.now() % 1.0):
            scrape.poll(environment.clock.now())

    thread = threading.Thread(target=every_second, name="scrapes", daemon=True)
    thread.start()
    try:
        with closing(scrape):
            yield scrape
    finally:
        over.set()
        thread.join(5.0)


@contextmanager
def run_prometheus(environment: DemoEnvironment) -> Iterator[Prometheus]:
    """Run a real Prometheus that scrapes the same pages every 5 s."""

    def targets() -> list[ScrapeEndpoint]:
        return [ScrapeEndpoint(one.url, one.labels) for one in environment.cluster.targets()]

    server = start_prometheus(
        environment.supervisor,
        environment.directory / "prometheus",
        targets(),
        interval=PROMETHEUS_INTERVAL,
    )
    environment.on_change.append(lambda: server.write_targets(targets()))
    with closing(Prometheus(PrometheusOptions(server.url))) as source:
        yield source
