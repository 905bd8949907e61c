"""A local HTTP server that answers as told, one act per request, and misbehaves on demand."""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes.client import Configuration

from canary.kube.transport import Transport, configure_client

Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    peer: int
    """The client's port: one per connection."""
    raw: bytes = b""
    """The body as it was sent."""


class ScriptedServer:
    """Plays `acts` in order; the last one again and again."""

    def __init__(self, *acts: Act) -> None:
        self.acts = deque(acts)
        self.got: list[ReceivedRequest] = []
        self.over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.over = self.over  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def transport(self, *tokens: str, observer: Any = None) -> Transport:
        """A transport to this server; each connection takes the next token, the last one stays."""
        left = deque(tokens)

        def connect() -> Any:
            settings = Configuration(host=self.url)
            if left:
                settings.api_key["BearerToken"] = left[0] if len(left) == 1 else left.popleft()
            return configure_client(settings)

        return Transport(connect, observer)

    def close(self) -> None:
        """Ends hanging answers and the server."""
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _act(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                raw = self.rfile.read(length)
                body = json.loads(raw) if length else None
                peer = self.client_address[1]
                server.got.append(
                    ReceivedRequest(self.command, self.path, dict(self.headers), body, peer, raw)
                )
                act = server.acts.popleft() if len(server.acts) > 1 else server.acts[0]
                act(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _act  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


def send_answer(code: int, body: Any = None, **headers: str) -> Act:
    """JSON, or text."""

    def act(request: BaseHTTPRequestHandler) -> None:
        data = (body if isinstance(body, str) else json.dumps(body or {})).encode()
        request.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return act


def send_status(code: int, reason: str, message: str, **details: Any) -> Act:
    """A failure as the API server words it."""
    failure = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return send_answer(code, failure | {"message": message, "details": details})


def hang_forever(request: BaseHTTPRequestHandler) -> None:
    """No answer until the test is over."""
    request.server.over.wait(10)  # type: ignore[attr-defined]
    request.close_connection = True


def send_half(request: BaseHTTPRequestHandler) -> None:
    """Half of what is announced, then the end."""
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b'{"kind": ')
    request.close_connection = True


def reset_connection(request: BaseHTTPRequestHandler) -> None:
    """The connection is reset."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
    request.close_connection = True
    request.wfile = open("/dev/null", "wb")  # noqa: PTH123, SIM115  # the handler flushes it


def send_events(*chunks: bytes, then: str = "end") -> Act:
    """A chunked answer; afterwards it ends as it should, hangs, or breaks off in a chunk."""

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            request.wfile.flush()
        match then:
            case "end":
                request.wfile.write(b"0\r\n\r\n")
            case "hang":
                request.server.over.wait(10)  # type: ignore[attr-defined]
            case "break":
                request.wfile.write(b'50\r\n{"type": "ADD')
        request.close_connection = then != "end"

    return act


def encode_event(type_: str, version: int, **more: Any) -> bytes:
    """One line of a watch."""
    item = {"metadata": {"name": "a", "uid": "u", "resourceVersion": str(version)}, **more}
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"
