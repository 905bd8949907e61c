"""An HTTP proxy in front of the API server or of Prometheus that makes faults.

The operator is not changed: its kubeconfig and its --prometheus-url name the proxy. A `Fault` sees
each request before it is forwarded, and each whole response before the operator does.
"""

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from canary.clock import now

_HOP_HEADERS = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request of the operator."""

    method: str
    target: str
    """Path and query."""
    body: bytes

    @property
    def is_watch(self) -> bool:
        """Whether the response is a stream of events."""
        return "watch" in parse_qs(urlsplit(self.target).query)

    @property
    def is_write(self) -> bool:
        """Whether it changes an object that a release consists of; leases and Events do not."""
        path = urlsplit(self.target).path
        return self.method != "GET" and "/leases" not in path and "/events" not in path

    def __str__(self) -> str:
        return f"{self.method} {urlsplit(self.target).path}"


@dataclass(frozen=True, slots=True)
class ProxiedResponse:
    """What the operator receives."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class ConnectionDroppedError(Exception):
    """Raised by a fault: the connection ends without a response."""


class Fault:
    """Does nothing; subclasses override what they break. Called from many threads."""

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:  # noqa: ARG002 - for subclasses
        """Return a response to use instead of the server's; None forwards the request."""
        return None

    def after(self, request: ProxiedRequest, response: ProxiedResponse) -> ProxiedResponse:  # noqa: ARG002 - as above
        """Return what the operator receives in place of the server's response."""
        return response

    def watch_seconds(self) -> float | None:
        """Seconds after which a watch is closed; None: when the server closes it."""
        return None


@dataclass(frozen=True, slots=True)
class ForwardedWrite:
    """A write that reached the API server."""

    at: float
    """When it was forwarded (seconds since the epoch)."""
    request: ProxiedRequest
    status: int


@dataclass
class FaultProxy:
    """Forwards requests to a server; `fault` can be replaced at any time."""

    url: str
    """The server: https://HOST:PORT or http://HOST:PORT."""
    context: ssl.SSLContext | None = None
    fault: Fault = field(default_factory=Fault)
    writes: list[ForwardedWrite] = field(default_factory=list)
    """Every write that was forwarded, without leases and Events."""

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve while the block runs; yields the proxy's URL."""
        server = _Server(("127.0.0.1", 0), _handler_of(self))
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """Return a new connection to the server."""
        parts = urlsplit(self.url)
        host, port = str(parts.hostname), parts.port
        if self.context is not None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=timeout)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Say nothing: dropped connections are what this server is for."""


def _handler_of(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 600

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            request = ProxiedRequest(self.command, self.path, self.rfile.read(size))
            try:
                response = proxy.fault.before(request)
                if response is None and request.is_watch:
                    self._stream(request)
                    return
                response = response or self._forward(request)
                self._send(proxy.fault.after(request, response))
            except (ConnectionDroppedError, OSError, http.client.HTTPException):
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(2)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

        def _open(self, request: ProxiedRequest, timeout: float) -> http.client.HTTPConnection:
            connection = proxy.connect(timeout)
            sent = {
                k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}
            }
            connection.request(request.method, request.target, request.body or None, sent)
            return connection

        def _forward(self, request: ProxiedRequest) -> ProxiedResponse:
            began = now()
            connection = self._open(request, 60)
            try:
                answer = connection.getresponse()
                headers = tuple((k, v) for k, v in answer.getheaders() if _kept(k))
                response = ProxiedResponse(answer.status, answer.read(), headers)
            finally:
                connection.close()
            if request.is_write:
                proxy.writes.append(ForwardedWrite(began, request, response.status))
            return response

        def _send(self, response: ProxiedResponse) -> None:
            self.send_response_only(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def _stream(self, request: ProxiedRequest) -> None:
            self.close_connection = True
            connection = self._open(request, 600)
            timer: threading.Timer | None = None
            try:
                answer = connection.getresponse()
                self.send_response_only(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                if (seconds := proxy.fault.watch_seconds()) is not None:
                    timer = threading.Timer(seconds, _shut, (connection,))
                    timer.start()
                while chunk := answer.read1(_CHUNK):
                    self.wfile.write(chunk)
                    self.wfile.flush()
            finally:
                connection.close()
                if timer is not None:
                    timer.cancel()

    return Handler


def _kept(header: str) -> bool:
    return header.lower() not in _HOP_HEADERS


def _shut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(2)
