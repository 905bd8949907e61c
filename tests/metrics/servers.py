"""Real parts for the metric sources: a scripted HTTP server, and a real Prometheus."""

import contextlib
import math
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

DEADLINE = 30.0


@dataclass
class ScriptedReply:
    """What the server says to one request; `hold` makes it wait until the test ends."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain"})
    hold: bool = False


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]


class ScriptedServer:
    """Answers with `answer(request)`, and remembers the requests."""

    def __init__(self) -> None:
        self.answer: Callable[[ReceivedRequest], ScriptedReply] = lambda _: ScriptedReply(
            status=404
        )
        self.requests: list[ReceivedRequest] = []
        self.released = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.handle(self)

            do_POST = do_GET  # noqa: N815  # the name http.server calls

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        form = {k: v[0] for k, v in parse_qs(body).items()}
        request = ReceivedRequest(
            handler.command, handler.path, form, dict(handler.headers.items())
        )
        self.requests.append(request)
        reply = self.answer(request)
        if reply.hold:
            self.released.wait(DEADLINE)
        with contextlib.suppress(OSError):
            handler.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body))} | reply.headers
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(reply.body)
        handler.close_connection = reply.hold or "Content-Length" in reply.headers

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


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

    def __init__(self, home: Path, scrape_configs: str, *more: str) -> None:
        binary = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
        if binary is None:
            pytest.skip("there is no `prometheus` on PATH, and $PROMETHEUS is not set")
        (home / "prometheus.yml").write_text(scrape_configs)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{address}"
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
        wait_until(self._ready, "Prometheus' start")

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
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.ConnectionError:
            return False
