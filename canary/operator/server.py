"""The HTTP server for probes and metrics; it reads nothing and writes nothing else."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import ClassVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from canary.errors import UsageError

Probe = Callable[[], list[str]]
"""What is wrong, as sentences; empty: nothing."""


class ProbeServer:
    """Serves /livez, /readyz and /metrics until stopped."""

    def __init__(
        self, address: tuple[str, int], live: Probe, ready: Probe, registry: CollectorRegistry
    ) -> None:
        host, port = address

        class Handler(_Handler):
            probes: ClassVar = {"/livez": live, "/readyz": ready}
            metrics = registry

        class Listener(ThreadingHTTPServer):
            address_family = AF_INET6 if ":" in host else AF_INET
            daemon_threads = True

        try:
            self._server = Listener(address, Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on {host}:{port} (--metrics-address): {error}"
            ) from error
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    probes: ClassVar[dict[str, Probe]]
    metrics: CollectorRegistry

    def do_GET(self) -> None:  # the name is the standard library's
        """Answers one request."""
        path = self.path.partition("?")[0]
        if path in self.probes:
            wrong = self.probes[path]()
            status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            self._answer(status, "text/plain; charset=utf-8", "\n".join(wrong or ["ok"]).encode())
        elif path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, kind, encode(self.metrics))
        else:
            words = b"there are /livez, /readyz and /metrics\n"
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", words)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: not a word."""

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def parse_address(text: str) -> tuple[str, int]:
    """`0.0.0.0:8080`, `:8080` or `[::]:8080`. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  # the largest there is
        raise UsageError(
            f"--metrics-address HOST:PORT is expected, such as 0.0.0.0:8080, found {text!r}"
        )
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # what an empty host means
