"""Starts everything that the demo needs, and stops all of it at the end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from canary.clock import SystemClock
from canary.demo.cluster.deployment import ProcessDeployment
from canary.demo.cluster.instances import Build
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.prometheus import ScrapeEndpoint, start_prometheus
from canary.demo.cluster.traefik import TrafficSplit, start_traefik
from canary.demo.cluster.workdir import LocalError, work_directory
from canary.demo.cluster.world import LocalCluster
from canary.demo.load.accounts import create_accounts
from canary.demo.load.process import LoadProcess, start_load_process
from canary.demo.load.schedule import LoadProfile
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.scrape import Scrape

REPLICAS = 4
MAX_CONNECTIONS = 200
"""Limit of PostgreSQL: enough for all pools of stable and canary."""
READY_SECONDS = 40.0
TICK_SECONDS = 0.2
"""Seconds between two checks of the processes."""


@dataclass
class DemoEnvironment:
    """The running parts."""

    supervisor: Supervisor
    directory: Path
    cluster: LocalCluster
    clock: SystemClock
    profile: LoadProfile
    waiting: threading.Event
    """Never set; waiting on it lets time pass."""
    traffic: LoadProcess | None = None
    on_change: list[Callable[[], None]] = field(default_factory=list)
    """Called when instances were added or removed."""
    _known: frozenset[str] = frozenset()

    def advance(self) -> float:
        """Wait one tick and update the cluster; returns the time (seconds since the epoch).

        Raises:
            LocalError: PostgreSQL, the router, the load or Prometheus has died.
        """
        self.waiting.wait(TICK_SECONDS)
        now = self.clock.now()
        self.cluster.tick(now)
        self._check_vitals()
        known = frozenset(target.url for target in self.cluster.targets())
        if known != self._known:
            self._known = known
            for call in self.on_change:
                call()
        return now

    def start_load(self) -> None:
        """Start the load."""
        self.traffic = start_load_process(
            self.supervisor,
            self.directory / "load.jsonl",
            url=self.cluster.traefik.url,
            profile=self.profile,
        )

    def _check_vitals(self) -> None:
        """Raise LocalError if a process other than an instance of the service has died."""
        for child in self.supervisor.children:
            if child.died and child.name in {"postgres", "traefik", "load", "prometheus"}:
                raise LocalError(f"a process of the demo died: {child.describe_end()}")


@contextmanager
def start_environment(build: Build, profile: LoadProfile) -> Iterator[DemoEnvironment]:
    """Start PostgreSQL, the instances of the old version and the router, and wait until they serve.

    Raises:
        LocalError: a process does not start; the message names it and what to do.
    """
    with work_directory() as directory, Supervisor(directory / "logs") as supervisor:
        postgres = start_postgres(
            supervisor, directory / "postgres", max_connections=MAX_CONNECTIONS
        )
        create_accounts(postgres.dsn, profile.users)
        traefik = start_traefik(
            supervisor, directory / "traefik", TrafficSplit.from_urls(0, [], [])
        )
        deployment = ProcessDeployment(
            supervisor, "auth", dsn=postgres.dsn, build=build, replicas=REPLICAS
        )
        cluster = LocalCluster(supervisor, traefik, deployment, postgres.dsn)
        environment = DemoEnvironment(
            supervisor, directory, cluster, SystemClock(), profile, threading.Event()
        )
        with closing(cluster):
            _wait_ready(environment)
            yield environment


def _wait_ready(environment: DemoEnvironment) -> None:
    deadline = environment.clock.now() + READY_SECONDS
    while not (environment.cluster.stable.running and environment.cluster.routed):
        if environment.advance() > deadline:
            lines = [
                instance.child.describe_end() for instance in environment.cluster.stable.instances()
            ]
            raise LocalError(
                f"the auth service was not ready within {READY_SECONDS:g} s; " + "\n".join(lines)
            )


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
