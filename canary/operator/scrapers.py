"""The `scrape` source in a cluster: reads metrics pages of pods and router during a release."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from canary.fair_executor import FairExecutor
from canary.http.urls import build_url
from canary.interfaces import Clock, Key
from canary.kube.cached import CachedObjects
from canary.kube.objects import DEPLOYMENTS, PODS, REPLICA_SETS, Object
from canary.kube.workloads.names import annotations_of
from canary.metrics.scrape import Scrape, ScrapeOptions
from canary.metrics.store import ScrapeTarget

_log = logging.getLogger(__name__)

TIMEOUT = 2.0
"""Time limit of one page in seconds; a shorter interval is the limit itself."""
_PORTS = ("metrics", "http-metrics", "http-prom", "prometheus")


@dataclass(frozen=True, slots=True)
class ScrapeTargets:
    """The pages that are scraped for one release."""

    objects: CachedObjects
    key: Key
    target: str
    router: str | None
    """URL of the router's own metrics page."""

    def targets(self) -> Iterator[ScrapeTarget]:
        """Yield the current pages, including those of terminating pods."""
        if self.router is not None:
            yield ScrapeTarget(self.router, {"job": "router"})
        for name in (self.target, f"{self.target}-canary"):
            deployment = self.objects.get(DEPLOYMENTS, self.key.namespace, name)
            for pod in self._list_pods(deployment) if deployment else ():
                if (url := metrics_url(pod)) is not None:
                    labels = {"namespace": self.key.namespace, "pod": pod["metadata"]["name"]}
                    yield ScrapeTarget(url, {"job": self.target, **labels})

    def _list_pods(self, deployment: Object) -> Iterable[Object]:
        for one in self._replica_sets(deployment):
            yield from self.objects.list_owned(PODS, self.key.namespace, one["metadata"]["uid"])

    def _replica_sets(self, deployment: Object) -> Iterable[Object]:
        uid = deployment["metadata"]["uid"]
        return self.objects.list_owned(REPLICA_SETS, self.key.namespace, uid)


def metrics_url(pod: Object) -> str | None:
    """Return the URL of a running pod's metrics page, from annotations or a port's name."""
    status, notes = pod.get("status") or {}, annotations_of(pod)
    address = status.get("podIP")
    if not address or status.get("phase") != "Running":
        return None
    port = notes.get("prometheus.io/port") or _named_port(pod)
    if not port or notes.get("prometheus.io/scrape") == "false":
        return None
    scheme = "https" if notes.get("prometheus.io/scheme") == "https" else "http"
    try:
        return build_url(scheme, address, port, notes.get("prometheus.io/path", "/metrics"))
    except (
        ValueError
    ):  # Users write these annotations: the port may be invalid, and the path may contain `..`.
        return None


def _named_port(pod: Object) -> str | None:
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") in _PORTS:
                return str(port["containerPort"])
    return None


@dataclass(frozen=True, slots=True)
class Scraping:
    """Options and threads that all releases share."""

    options: ScrapeOptions
    threads: FairExecutor
    """Limited per namespace."""
    clock: Clock


class Scraper:
    """Scrapes the pages of one release at multiples of its interval, in a thread of its own.

    `polled` is called after each scrape, as there are new samples.
    """

    def __init__(
        self, pages: ScrapeTargets, interval: float, scraping: Scraping, polled: Callable[[], None]
    ) -> None:
        options = replace(scraping.options, timeout=min(TIMEOUT, interval))
        self.source = Scrape(pages.targets, (), options, scraping.threads, pages.key.namespace)
        self.interval = interval
        self._clock = scraping.clock
        self._polled = polled
        self._stopping = threading.Event()
        name = f"scrape {pages.key.namespace}/{pages.key.name}"
        self._thread = threading.Thread(target=self._scrape_regularly, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop scraping, without waiting for pending pages."""
        self._stopping.set()
        self.source.close()

    def _scrape_regularly(self) -> None:
        while True:
            now = self._clock.now()
            due = (now // self.interval + 1) * self.interval
            if self._stopping.wait(due - now):
                return
            try:
                # Stored under the due time, so that it counts for this interval and not the next.
                self.source.poll(due)
            except Exception:  # noqa: BLE001  # otherwise the thread would end unnoticed
                if self._stopping.is_set():
                    return
                _log.exception("a scrape failed")
            self._polled()


class Scrapers:
    """One Scraper per release in flight with this source.

    Thread-safe as long as each release is reconciled by one thread.
    """

    def __init__(self, start: Callable[[Key, str, float], Scraper]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._running: dict[Key, Scraper] = {}

    def get(self, key: Key) -> Scrape | None:
        """Return the source of a release; None when it is not scraped."""
        with self._lock:
            scraper = self._running.get(key)
        return None if scraper is None else scraper.source

    def start(self, key: Key, target: str, interval: float) -> None:
        """Scrape the release from now on, at this interval in seconds."""
        with self._lock:
            scraper = self._running.get(key)
            if scraper is not None and scraper.interval == interval:
                return
            self._running[key] = self._start(key, target, interval)
        if scraper is not None:
            scraper.close()

    def stop(self, key: Key) -> None:
        """Stop scraping the release."""
        with self._lock:
            scraper = self._running.pop(key, None)
        if scraper is not None:
            scraper.close()

    def close(self) -> None:
        """Stop all scrapes."""
        with self._lock:
            running, self._running = self._running, {}
        for scraper in running.values():
            scraper.close()
