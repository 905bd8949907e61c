"""What runs beside the cluster: the exporter, a Prometheus that scrapes it, and the operator."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.scale.exporter import PAGES
from bench.scale.waiting import wait_until
from canary.clock import now

NAMESPACE = "canary-system"
"""Namespace of the operator's account and Lease, as in manifests/operator."""
ROOT = Path(__file__).parents[2]


class MissingError(RuntimeError):
    """Something that the benchmark needs is not there; the message says what and what to do."""


@contextmanager
def running(command: Sequence[str], log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen]:  # type: ignore[type-arg]
    """Run a process while the block runs."""
    with log.open("ab") as lines:
        child = subprocess.Popen(command, stdout=lines, stderr=lines, env=os.environ | env)  # noqa: S603
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The Prometheus and the exporter."""

    url: str
    exporter: str

    def query(self, text: str, at: float) -> float | None:
        """Return the value of an expression at `at` (seconds); None if it has none."""
        arguments = urllib.parse.urlencode({"query": text, "time": at})
        found = json.loads(read(f"{self.url}/api/v1/query?{arguments}"))["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def fail(self, services: Sequence[str]) -> None:
        """Make the canaries of these services (`NAMESPACE/NAME`) fail, and no others."""
        data = "\n".join(services).encode()
        with urllib.request.urlopen(f"{self.exporter}/faults", data, timeout=10):  # noqa: S310
            pass


@contextmanager
def monitoring(folder: Path, scrape: str, operator_port: int) -> Iterator[Monitoring]:
    """Start the exporter and a Prometheus that scrapes it and, every 30 s, the operator."""
    binary = shutil.which("prometheus")
    if binary is None:
        raise MissingError("expected `prometheus` on PATH, found none: install it")
    own, port = free_port(), free_port()
    exporter = [sys.executable, "-m", "bench.scale.exporter", str(own)]
    pages = [
        {
            "targets": [f"127.0.0.1:{own}"],
            "labels": {"__metrics_path__": f"/metrics/{number}"},
        }
        for number in range(PAGES)
    ]
    config = {
        "global": {"scrape_interval": scrape, "scrape_timeout": scrape},
        "scrape_configs": [
            {"job_name": "services", "honor_labels": True, "static_configs": pages},
            {
                "job_name": "operator",
                "scrape_interval": "30s",
                "static_configs": [{"targets": [f"127.0.0.1:{operator_port}"]}],
            },
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    server = [
        *(binary, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    found = Monitoring(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{own}")
    with running(exporter, folder / "exporter.log", {}):
        wait_for(f"{found.exporter}/", 30)
        with running(server, folder / "prometheus.log", {"GOMAXPROCS": "2"}):
            wait_for(f"{found.url}/-/ready", 60)
            yield found


@dataclass(frozen=True, slots=True)
class Operator:
    """A running `canary operator`."""

    child: "subprocess.Popen[bytes]"
    port: int
    started: float
    """When the process was started, in seconds since the epoch."""

    @property
    def page(self) -> str:
        """Its metrics page."""
        return read(f"http://127.0.0.1:{self.port}/metrics")

    def ready(self) -> bool:
        """Return whether /readyz answers 200."""
        with suppress(OSError):
            read(f"http://127.0.0.1:{self.port}/readyz")
            return True
        return False


def operator_command(kubeconfig: Path, prometheus: str, port: int, *flags: str) -> list[str]:
    """Return the command line of an operator beside the cluster."""
    return [
        *("operator", "--kubeconfig", str(kubeconfig), "--prometheus-url", prometheus),
        *("--metrics-address", f"127.0.0.1:{port}", "--lease-namespace", NAMESPACE),
        *("--hold-mode", "at-rest", *flags),
    ]


@contextmanager
def operator(command: Sequence[str], port: int, log: Path) -> Iterator[Operator]:
    """Run the operator with this command line while the block runs."""
    began = now()
    with running(command, log, {}) as child:
        yield Operator(child, port, began)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def read(url: str) -> str:
    """Return the body of a page."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own
        return str(answer.read().decode())


def wait_for(url: str, seconds: float) -> None:
    """Wait until the page answers. Raises TimeoutError."""

    def answers() -> bool:
        try:
            read(url)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    wait_until(f"{url} to answer", answers, seconds)


def run_kubectl(*arguments: str, stdin: str = "") -> str:
    """Return what kubectl printed. Raises MissingError with its words when it failed."""
    done = subprocess.run(  # noqa: S603
        ["kubectl", *arguments],  # noqa: S607 - whichever kubectl the person uses
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
