"""What every run needs: the definition, the operator's account as installed, and its kubeconfig."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.scale import fleet
from bench.scale.counters import Meter, flow_schemas
from bench.scale.processes import (
    NAMESPACE,
    ROOT,
    MissingError,
    Monitoring,
    Operator,
    free_port,
    monitoring,
    operator,
    operator_command,
    run_kubectl,
)
from canary.kube.client import Client

ACCOUNT = "canary"
"""Of manifests/operator/rbac.yaml."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A cluster with simulated nodes, and what runs beside it."""

    client: Client
    """As administrator."""
    monitoring: Monitoring
    meter: Meter
    folder: Path
    port: int
    """Of the operator's metrics page."""

    def operator(self, launcher: Callable[[list[str]], list[str]], *flags: str) -> "Operation":
        """Return the context in which the operator runs; `launcher` completes its command."""
        url = self.monitoring.url
        command = operator_command(self.folder / "operator.kubeconfig", url, self.port, *flags)
        return Operation(launcher(command), self.port, self.folder / "operator.log")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator that can be started, several times."""

    command: list[str]
    port: int
    log: Path

    @contextmanager
    def start(self) -> Iterator[Operator]:
        """Run the operator while the block runs."""
        with operator(self.command, self.port, self.log) as started:
            yield started


@contextmanager
def environment(scrape: str, keep: Path | None = None) -> Iterator[Environment]:
    """Prepare the cluster of KUBECONFIG and start exporter and Prometheus.

    Logs are written to `keep` if it is given. Raises MissingError.
    """
    if not os.environ.get("KUBECONFIG"):
        raise MissingError("expected KUBECONFIG of a cluster with simulated nodes, found none")
    client = fleet.connect()
    if not fleet.has_simulated_nodes(client):
        raise MissingError(
            "expected nodes with the label type=kwok, whose pods KWOK simulates, found none: "
            "see https://kwok.sigs.k8s.io"
        )
    with TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        _prepare(folder)
        port = free_port()
        with monitoring(folder, scrape, port) as started:
            yield Environment(client, started, Meter(started), folder, port)


def _prepare(folder: Path) -> None:
    """Install definition, account, rights and FlowSchemas; write the account's kubeconfig."""
    run_kubectl("apply", "--server-side", "-f", str(ROOT / "manifests/crd.yaml"))
    for name in ("namespace.yaml", "rbac.yaml"):
        run_kubectl("apply", "-f", str(ROOT / "manifests/operator" / name))
    schemas = yaml.safe_dump_all(flow_schemas(NAMESPACE, ACCOUNT))
    run_kubectl("apply", "-f", "-", stdin=schemas)
    token = ("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration", "24h")
    config = yaml.safe_load(run_kubectl("config", "view", "--raw", "--flatten", "--minify"))
    config["users"][0]["user"] = {"token": run_kubectl(*token).strip()}
    file = folder / "operator.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))
