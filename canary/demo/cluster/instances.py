"""Instances of the auth service as child processes."""

from collections.abc import Callable
from dataclasses import dataclass

from canary.demo.cluster.loopback import answers_ok
from canary.demo.cluster.processes import (
    ChildProcess,
    Command,
    Supervisor,
    python_module,
    wait_until,
)
from canary.demo.cluster.workdir import free_ports

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Build:
    """The configuration shared by all instances of one version."""

    version: str = "good"
    """The switch, such as good, refuse or errors:RATE (see auth/versions.py)."""
    label: str = "v1"
    """Value of the header X-Version."""
    pool_max: int = 10
    leak_every: int = 100
    """One login in this many takes the rare path, where `leak` leaks a connection."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance: its URL and its process."""

    name: str
    url: str
    child: ChildProcess

    @property
    def metrics_url(self) -> str:
        """URL of its metrics page."""
        return f"{self.url}/metrics"

    def ready(self) -> bool:
        """Return whether its health check passes."""
        return answers_ok(f"{self.url}/healthz")

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until its health check passes.

        Raises:
            LocalError: the process died, or was not ready in time.
        """
        wait_until(self.ready, self.child, seconds=seconds, what=f"{self.name} ready to serve")


StartInstance = Callable[..., Instance]


def start_instance(
    supervisor: Supervisor, name: str, *, dsn: str, build: Build, seed: int = 0
) -> Instance:
    """Start an instance on a free port; it is not ready yet when this returns.

    Raises:
        LocalError: no free port, or the process cannot be started.
    """
    (port,) = free_ports(1)
    options = {
        "port": port,
        "dsn": dsn,
        "version": build.version,
        "label": build.label,
        "instance": name,
        "pool-max": build.pool_max,
        "leak-every": build.leak_every,
        "seed": seed,
    }
    arguments = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    child = supervisor.start(Command(name, python_module("canary.demo.auth", *arguments)))
    return Instance(name, f"http://127.0.0.1:{port}", child)
