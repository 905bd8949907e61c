"""A real Prometheus for tests."""

import math
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.http_server import DEADLINE


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition by looking again and again; fails after the deadline."""
    pause = threading.Event()
    for _ in range(int(DEADLINE / 0.05)):
        if condition():
            return
        pause.wait(0.05)
    pytest.fail(f"{what} did not happen within {DEADLINE:g} s")


class RealPrometheus:
    """A Prometheus process with its own data directory; skips the test where there is no binary."""

    def __init__(
        self, home: Path, scrape_configs: str, *more: str, scheme: str = "http", **session: Any
    ) -> None:
        """`session` is what `requests` needs to get in, such as `auth`."""
        binary = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
        if binary is None:
            pytest.skip("there is no `prometheus` on PATH, and $PROMETHEUS is not set")
        (home / "prometheus.yml").write_text(scrape_configs)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"{scheme}://{address}"
        self._session = session
        flags = {
            "config.file": home / "prometheus.yml",
            "storage.tsdb.path": home / "data",
            "web.listen-address": address,
        }
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        with (home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [binary, *arguments, *more], stdout=log, stderr=log
            )  # the user's own binary
        try:
            wait_until(self._ready, "Prometheus' start")
        except BaseException:
            self.close()
            raise

    def value(self, query: str) -> float:
        """The one number that a query gives now, NaN for none."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=5)
        data = answer.json()["data"]
        pairs = (
            [data["result"]]
            if data["resultType"] == "scalar"
            else [one["value"] for one in data["result"]]
        )
        return float(pairs[0][1]) if pairs else math.nan

    def now(self) -> float:
        """Prometheus' clock, in seconds."""
        return self.value("time()")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            pytest.fail("Prometheus ended at once; see its log")
        try:
            if self.url.startswith("https:"):
                socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2]))).close()
                return True
            return requests.get(f"{self.url}/-/ready", timeout=2, **self._session).ok
        except (requests.ConnectionError, requests.Timeout, ConnectionRefusedError):
            return False
