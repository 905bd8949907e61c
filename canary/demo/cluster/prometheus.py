"""Runs a real Prometheus that scrapes the demo."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from canary.demo.cluster.loopback import answers_ok
from canary.demo.cluster.processes import ChildProcess, Command, Supervisor, wait_until
from canary.demo.cluster.workdir import LocalError, disk_errors, free_ports

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ScrapeEndpoint:
    """One metrics page; every series gets its `labels` (job, namespace, pod …)."""

    url: str
    labels: Mapping[str, str] = field(default_factory=dict)


class PrometheusServer:
    """A running server. Made by `start_prometheus`."""

    def __init__(self, child: ChildProcess, url: str, targets: Path) -> None:
        self.child = child
        self.url = url
        self._targets = targets

    def write_targets(self, targets: Sequence[ScrapeEndpoint]) -> None:
        """Set the targets; Prometheus takes up to 5 s to read them.

        Raises:
            LocalError: the file cannot be written.
        """
        write_targets(self._targets, targets)

    def ready(self) -> bool:
        """Return whether the server answers queries."""
        return answers_ok(f"{self.url}/-/ready")


def find_prometheus() -> str | None:
    """Return the program: $PROMETHEUS, or `prometheus` on the PATH; None if there is none."""
    return shutil.which(os.environ.get("PROMETHEUS") or "prometheus")


def start_prometheus(
    supervisor: Supervisor,
    directory: Path,
    targets: Sequence[ScrapeEndpoint],
    *,
    interval: float = 1.0,
) -> PrometheusServer:
    """Start a server that scrapes `targets` every `interval` seconds (whole milliseconds).

    Raises:
        LocalError: Prometheus is not installed, does not start, or there is no free port.
    """
    program = find_prometheus()
    if program is None:
        raise LocalError(
            "Prometheus was not found: install it (Debian: apt install prometheus), "
            "or set the variable PROMETHEUS to the path of the program"
        )
    (port,) = free_ports(1)
    settings = directory / "prometheus.yaml"
    target_file = directory / "targets.json"
    with disk_errors(directory):
        directory.mkdir(parents=True)
        settings.write_text(
            yaml.safe_dump(_build_settings(interval, target_file)), encoding="utf-8"
        )
    write_targets(target_file, targets)
    flags = (
        f"--config.file={settings}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    child = supervisor.start(Command("prometheus", (program, *flags), {"GOMAXPROCS": "2"}))
    prometheus = PrometheusServer(child, f"http://127.0.0.1:{port}", target_file)
    wait_until(prometheus.ready, child, seconds=START_SECONDS, what="Prometheus ready")
    return prometheus


def write_targets(path: Path, targets: Sequence[ScrapeEndpoint]) -> None:
    """Replace the list of targets atomically.

    Raises:
        LocalError: the file cannot be written.
    """
    draft = path.with_suffix(".draft")
    with disk_errors(path.parent):
        draft.write_text(
            json.dumps([_target_group(target) for target in targets]), encoding="utf-8"
        )
        draft.replace(path)


def _target_group(target: ScrapeEndpoint) -> dict[str, object]:
    scheme, _, rest = target.url.partition("://")
    address, slash, path = rest.partition("/")
    where = {"__scheme__": scheme, "__metrics_path__": slash + path or "/metrics"}
    return {"targets": [address], "labels": {**where, **target.labels}}


def _build_settings(interval: float, targets: Path) -> dict[str, object]:
    every = f"{round(interval * 1000)}ms"
    files = [{"files": [str(targets)], "refresh_interval": "5s"}]
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [{"job_name": "local", "file_sd_configs": files}],
    }
