"""Traefik as the weighted router: configured by a file, verified through its own API."""

import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from canary.demo.cluster.loopback import send_get
from canary.demo.cluster.processes import ChildProcess, Command, Supervisor, wait_until
from canary.demo.cluster.workdir import LocalError, disk_errors, free_ports
from canary.errors import TransientError, install_command

STABLE = "auth-stable"
CANARY = "auth-canary"
SERVICE = "auth"
START_SECONDS = 30.0
APPLY_SECONDS = 10.0
IDLE_SECONDS = 15
"""Shorter than an instance keeps idle connections (75 s), so no instance closes one in use."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """`weight` percent (0–100) go to the canary's instances, the rest to stable's."""

    weight: int
    stable: frozenset[str]
    canary: frozenset[str]

    @staticmethod
    def from_urls(weight: int, stable: Sequence[str], canary: Sequence[str]) -> "TrafficSplit":
        """Build a split over base URLs (`http://127.0.0.1:8001`).

        Raises:
            ValueError: the weight is not a percentage.
        """
        if not 0 <= weight <= 100:  # noqa: PLR2004  # percent
            raise ValueError(f"expected a weight from 0 to 100 percent, found {weight}")
        return TrafficSplit(weight, frozenset(stable), frozenset(canary))


class TraefikServer:
    """A running router. Made by `start_traefik`."""

    def __init__(self, child: ChildProcess, routes: Path, port: int, api_port: int) -> None:
        self.child = child
        self.url = f"http://127.0.0.1:{port}"
        """The URL for users' requests."""
        self.metrics_url = f"http://127.0.0.1:{api_port}/metrics"
        self._api = f"http://127.0.0.1:{api_port}"
        self._routes = routes

    def write(self, weight: int, stable: Sequence[str], canary: Sequence[str]) -> TrafficSplit:
        """Write a split; it applies once `read_split()` returns the same.

        Raises:
            LocalError: the file cannot be written.
        """
        split = TrafficSplit.from_urls(weight, stable, canary)
        write_routes(self._routes, split)
        return split

    def read_split(self) -> TrafficSplit | None:
        """Read the split that the router applies from its API; None before the first.

        Raises:
            TransientError: the API does not answer.
        """
        try:
            answer = send_get(f"{self._api}/api/http/services")
            answer.raise_for_status()
            return parse_services(answer.json())
        except requests.RequestException as error:
            raise TransientError(
                f"cannot read the weights from Traefik's API at {self._api} ({error}); "
                f"{self.child.describe_end()}"
            ) from error

    def wait_applied(self, split: TrafficSplit, seconds: float = APPLY_SECONDS) -> None:
        """Wait until the split applies.

        Raises:
            LocalError: it does not apply within `seconds`, or Traefik died.
        """
        wait_until(
            lambda: self._is_applied(split),
            self.child,
            seconds=seconds,
            what=f"weight {split.weight} in Traefik's API",
        )

    def _is_applied(self, split: TrafficSplit) -> bool:
        try:
            return self.read_split() == split
        except TransientError:
            return False


def start_traefik(supervisor: Supervisor, directory: Path, split: TrafficSplit) -> TraefikServer:
    """Start a router with its files in `directory` and wait until it applies `split`.

    Raises:
        LocalError: Traefik is not installed, does not start, or there is no free port.
    """
    port, api_port = free_ports(2)
    routes = directory / "routes" / "auth.yaml"
    settings = directory / "traefik.yaml"
    with disk_errors(directory):
        routes.parent.mkdir(parents=True)
        settings.write_text(
            yaml.safe_dump(_static_settings(port, api_port, routes)), encoding="utf-8"
        )
    write_routes(routes, split)
    child = supervisor.start(
        Command("traefik", (_find_program(), f"--configFile={settings}"), {"GOMAXPROCS": "2"})
    )
    traefik = TraefikServer(child, routes, port, api_port)
    traefik.wait_applied(split, START_SECONDS)
    return traefik


def write_routes(path: Path, split: TrafficSplit) -> None:
    """Replace the dynamic configuration atomically: Traefik never reads half a file.

    Raises:
        LocalError: the file cannot be written.
    """
    draft = path.with_suffix(".draft")
    with disk_errors(path.parent):
        draft.write_text(yaml.safe_dump(_dynamic_settings(split)), encoding="utf-8")
        draft.replace(path)


def parse_services(services: Sequence[Mapping[str, Any]]) -> TrafficSplit | None:
    """Parse the split from `/api/http/services`; None if a service is missing."""
    found = {service["name"]: service for service in services}
    try:
        weighted = found[f"{SERVICE}@file"]["weighted"]["services"]
        weights = {one["name"]: one["weight"] for one in weighted}
        return TrafficSplit(
            weights[CANARY],
            _server_urls(found[f"{STABLE}@file"]),
            _server_urls(found[f"{CANARY}@file"]),
        )
    except KeyError:
        return None


def _server_urls(service: Mapping[str, Any]) -> frozenset[str]:
    servers = service["loadBalancer"].get("servers") or ()
    return frozenset(server["url"] for server in servers)


def _static_settings(port: int, api_port: int, routes: Path) -> dict[str, object]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR", "noColor": True},
        "entryPoints": {
            "users": {"address": f"127.0.0.1:{port}"},
            "traefik": {"address": f"127.0.0.1:{api_port}"},
        },
        "api": {"insecure": True, "dashboard": False},
        "metrics": {"prometheus": {"addServicesLabels": True, "addEntryPointsLabels": False}},
        "providers": {
            "providersThrottleDuration": "50ms",
            "file": {"filename": str(routes), "watch": True},
        },
    }


def _dynamic_settings(split: TrafficSplit) -> dict[str, object]:
    weighted = [
        {"name": STABLE, "weight": 100 - split.weight},
        {"name": CANARY, "weight": split.weight},
    ]
    http = {
        "routers": {SERVICE: {"rule": "PathPrefix(`/`)", "service": SERVICE}},
        "services": {
            SERVICE: {"weighted": {"services": weighted}},
            STABLE: _load_balancer(split.stable),
            CANARY: _load_balancer(split.canary),
        },
        "serversTransports": {
            "ours": {"forwardingTimeouts": _forwarding_timeouts(), "maxIdleConnsPerHost": 64}
        },
    }
    return {"http": http}


def _load_balancer(urls: frozenset[str]) -> dict[str, object]:
    servers = [{"url": url} for url in sorted(urls)]
    return {"loadBalancer": {"servers": servers, "serversTransport": "ours"}}


def _forwarding_timeouts() -> dict[str, str]:
    return {
        "dialTimeout": "2s",
        "responseHeaderTimeout": "10s",
        "idleConnTimeout": f"{IDLE_SECONDS}s",
    }


def _find_program() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    program = str(beside) if os.access(beside, os.X_OK) else shutil.which("traefik")
    if program is None:
        raise LocalError(f"Traefik is not installed: {install_command('demo')} brings it")
    return program
