"""Everything real that a demo needs, up and running, and gone again at the end."""

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
from canary.demo.cluster.traefik import TrafficSplit, start_traefik
from canary.demo.cluster.workdir import LocalError, work_directory
from canary.demo.cluster.world import LocalCluster
from canary.demo.load.accounts import create_accounts
from canary.demo.load.process import LoadProcess, start_load_process
from canary.demo.load.schedule import LoadProfile

REPLICAS = 4
MAX_CONNECTIONS = 200
"""Of PostgreSQL: enough for all pools of stable and canary, and small beside a default of 100s."""
READY_SECONDS = 40.0
TICK_SECONDS = 0.2
"""Seconds between two looks at the processes."""


@dataclass
class DemoEnvironment:
    """The running parts."""

    supervisor: Supervisor
    directory: Path
    cluster: LocalCluster
    clock: SystemClock
    profile: LoadProfile
    waiting: threading.Event
    """Never set: waiting on it is how time passes."""
    traffic: LoadProcess | None = None
    on_change: list[Callable[[], None]] = field(default_factory=list)
    """Called when instances came or went."""
    _known: frozenset[str] = frozenset()

    def advance(self) -> float:
        """Let the processes move on; returns the time now (seconds since the epoch).

        Raises:
            LocalError: one that must run has died.
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
        """Instances may die, that is what a canary is for; the rest may not."""
        for child in self.supervisor.children:
            if child.died and child.name in {"postgres", "traefik", "load", "prometheus"}:
                raise LocalError(f"the demo cannot go on: {child.describe_end()}")


@contextmanager
def start_environment(build: Build, profile: LoadProfile) -> Iterator[DemoEnvironment]:
    """PostgreSQL, the old version's instances and the router, ready to serve.

    Raises:
        LocalError: something does not start; the message says what and what to do.
    """
    with work_directory() as directory, Supervisor(directory / "logs") as supervisor:
        postgres = start_postgres(
            supervisor, directory / "postgres", max_connections=MAX_CONNECTIONS
        )
        create_accounts(postgres.dsn, profile.users)
        traefik = start_traefik(supervisor, directory / "traefik", TrafficSplit.of(0, [], []))
        deployment = ProcessDeployment(
            supervisor, "auth", dsn=postgres.dsn, build=build, replicas=REPLICAS
        )
        cluster = LocalCluster(supervisor, traefik, deployment, postgres.dsn)
        stage = DemoEnvironment(
            supervisor, directory, cluster, SystemClock(), profile, threading.Event()
        )
        with closing(cluster):
            _wait_ready(stage)
            yield stage


def _wait_ready(stage: DemoEnvironment) -> None:
    deadline = stage.clock.now() + READY_SECONDS
    while not (stage.cluster.stable.running and stage.cluster.routed):
        if stage.advance() > deadline:
            lines = [instance.child.describe_end() for instance in stage.cluster.stable.instances()]
            raise LocalError(
                f"the auth service was not ready within {READY_SECONDS:g} s; " + "\n".join(lines)
            )
