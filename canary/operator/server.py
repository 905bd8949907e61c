"""The HTTP server for probes and metrics.

Any client in the cluster can reach it, so one thread serves all connections of a port, at most
`MAX_CONNECTIONS`, each with a deadline that includes the TLS handshake. One more connection closes
the oldest: a probe that sends its request at once is answered, however many clients send theirs
slowly.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from canary.errors import UsageError
from canary.operator.metrics_access import BearerToken, ServerCertificate

Probe = Callable[[], list[str]]
"""Returns the problems as sentences; empty when there are none."""
MAX_CONNECTIONS = 128
"""Maximum number of simultaneous connections."""
DEADLINE = 5.0
"""Maximum seconds from the start of a connection to the end of its response."""
METRICS_ADDRESS, METRICS_TLS_ADDRESS = "--metrics-address", "--metrics-tls-address"
_MAX_HEADER = 1 << 14
"""Maximum size of a request's header in bytes."""
_TEXT = "text/plain; charset=utf-8"


class OperatorServer:
    """Serves one port until stopped: the probes, /metrics, or both."""

    def __init__(
        self,
        address: tuple[str, int],
        probes: Mapping[str, Probe],
        registry: CollectorRegistry | None,
        token: BearerToken | None = None,
        certificate: ServerCertificate | None = None,
    ) -> None:
        """`probes` are by path; without a registry there are no metrics.

        A token is required for metrics only; a certificate encrypts the whole port.

        Raises UsageError if the address cannot be listened on.
        """
        host, port = address
        self._probes = probes
        self._registry = registry
        self._token = token
        self._certificate = certificate
        self._connections: dict[asyncio.Task[None], None] = {}
        """Open connections, oldest first."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        option = METRICS_TLS_ADDRESS if certificate else METRICS_ADDRESS
        try:
            self._socket = socket.create_server(address, family=family, backlog=MAX_CONNECTIONS)
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot listen on {host}:{port} ({option}): {error}") from error
        self._port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run_loop, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return self._port

    def stop(self) -> None:
        """Stop the server."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(DEADLINE)

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve_connections())

    async def _serve_connections(self) -> None:
        listener = await asyncio.start_server(
            self._accept_connection, sock=self._socket, limit=_MAX_HEADER
        )
        await self._stopping.wait()
        listener.close()
        for task in list(self._connections):
            task.cancel()

    async def _accept_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections[task] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).cancel()
        try:
            with suppress(OSError, ValueError, EOFError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(DEADLINE):
                    await self._answer_request(reader, writer)
        finally:
            self._connections.pop(task, None)
            writer.transport.abort()

    async def _answer_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._certificate is not None:
            await writer.start_tls(self._certificate.context(), ssl_handshake_timeout=DEADLINE)
        header = await reader.readuntil(b"\r\n\r\n")
        status, kind, body = self._build_response(header.decode("latin-1"))
        challenge = "WWW-Authenticate: Bearer\r\n" if status is HTTPStatus.UNAUTHORIZED else ""
        writer.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n{challenge}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        if writer.can_write_eof():  # TLS cannot
            writer.write_eof()
        await reader.read()  # until the client closes: an earlier close may cut off the response

    def _build_response(self, header: str) -> tuple[HTTPStatus, str, bytes]:
        """Return the status, content type and body of the response to a request."""
        request, *fields = header.split("\r\n")
        method, target, *_ = [*request.split(" "), "", ""]
        path = target.partition("?")[0]
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET is answered\n"
        if path in self._probes:
            wrong = self._probes[path]()
            status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            return status, _TEXT, "\n".join(wrong or ["ok"]).encode()
        if path == "/metrics" and self._registry is not None:
            sent = dict(_parse_field(line) for line in fields)
            if self._token is not None and not self._token.accepts(sent.get("authorization", "")):
                return HTTPStatus.UNAUTHORIZED, _TEXT, b"a bearer token is required\n"
            encode, kind = choose_encoder(sent.get("accept", ""))
            return HTTPStatus.OK, kind, encode(self._registry)
        here = ", ".join([*self._probes, *(["/metrics"] if self._registry else [])])
        return HTTPStatus.NOT_FOUND, _TEXT, f"this port serves {here}\n".encode()


def _parse_field(line: str) -> tuple[str, str]:
    """Return the name of a header field in lower case, and its value."""
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def parse_address(text: str, option: str = METRICS_ADDRESS) -> tuple[str, int]:
    """Parse an address such as `0.0.0.0:8080`, `:8080` or `[::]:8080`. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  # the largest there is
        raise UsageError(f"{option}: expected HOST:PORT such as 0.0.0.0:8080, found {text!r}")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # what an empty host means
