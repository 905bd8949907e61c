"""The HTTP server of all tests: records requests, and answers each as a function of the test says.

An answer is a `Reply`, None (the connection closes without an answer), or a `Misbehavior`, which
writes to the connection itself:

    with HttpServer(lambda request: Reply(b"ok" if request.path == "/a" else b"", 200)) as server:
        fetch(server.url + "/a")
        assert [request.path for request in server.requests] == ["/a"]
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from requests.structures import CaseInsensitiveDict

DEADLINE = 30.0
"""Seconds that a test waits for something before it fails."""


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes
    connection: int
    """The client's port."""

    @property
    def form(self) -> dict[str, str]:
        """The first value of each field of a form."""
        return {name: values[0] for name, values in parse_qs(self.content.decode()).items()}

    def json(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)


@dataclass
class Reply:
    """What the server says to one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain"})
    hold: bool = False
    """Wait until the test ends."""


Misbehavior = Callable[[BaseHTTPRequestHandler], None]
Answer = Callable[[ReceivedRequest], Reply | Misbehavior | None]


def reply_json(body: Any, status: int = 200, **headers: str) -> Reply:
    """Return an answer in JSON; `_` in the name of a header stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = json.dumps(body).encode()
    return Reply(content, status, {"Content-Type": "application/json"} | named)


def answer_in_turn(*replies: Reply | Misbehavior) -> Answer:
    """Give these answers one after the other, the last again and again."""
    lock, left = threading.Lock(), list(replies)

    def answer(_request: ReceivedRequest) -> Reply | Misbehavior:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def write_chunk(http: BaseHTTPRequestHandler, data: bytes) -> None:
    """Write a chunk of an answer with `Transfer-Encoding: chunked`; no data ends the answer."""
    http.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class HttpServer:
    """A server on loopback, from its creation until `close`."""

    def __init__(self, answer: Answer = lambda _: Reply(status=404)) -> None:
        self.answer = answer
        self.requests: list[ReceivedRequest] = []
        self.closed = threading.Event()
        self._arrived = threading.Condition()
        self._http = _ThreadingServer(("127.0.0.1", 0), self._build_handler())
        self._http.closed = self.closed
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        """http://HOST:PORT."""
        return f"http://{self.address}"

    def wait_for_requests(self, count: int) -> list[ReceivedRequest]:
        """Return the requests once so many have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, DEADLINE), (
                f"{len(self.requests)} of {count} requests arrived"
            )
            return list(self.requests)

    def close(self) -> None:
        """End answers that wait, and the server; a second call does nothing."""
        self.closed.set()
        self._http.shutdown()
        self._thread.join(DEADLINE)
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build_handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two packets

            def respond(self) -> None:
                owner._respond(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815  # the names http.server calls

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler

    def _respond(self, http: BaseHTTPRequestHandler) -> None:
        content = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        port = http.client_address[1]
        request = ReceivedRequest(
            http.command, http.path, CaseInsensitiveDict(http.headers), content, port
        )
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        reply = self.answer(request)
        if reply is None:
            http.close_connection = True
        elif isinstance(reply, Reply):
            self._send(http, reply)
        else:
            reply(http)

    def _send(self, http: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.hold:
            self.closed.wait(DEADLINE)
        http.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.headers)).items():
            http.send_header(name, value)
        http.end_headers()
        if http.command != "HEAD":
            http.wfile.write(reply.body)
        http.close_connection = reply.hold or "Content-Length" in reply.headers


def wait_until_closed(http: BaseHTTPRequestHandler) -> None:
    """Say nothing more until the test ends."""
    assert isinstance(http.server, _ThreadingServer)
    http.server.closed.wait(DEADLINE)
    http.close_connection = True


class _ThreadingServer(ThreadingHTTPServer):
    closed: threading.Event
    daemon_threads = True
    request_queue_size = 500

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve_status(status: Callable[[ReceivedRequest], int] = lambda _: 200) -> HttpServer:
    """Serve empty answers with the returned status; 0 closes the connection without an answer."""

    def answer(request: ReceivedRequest) -> Reply | None:
        code = status(request)
        return Reply(status=code) if code else None

    return HttpServer(answer)


def write_kubeconfig(directory: Path, url: str, namespace: str = "", token: str = "") -> Path:
    """Write a kubeconfig file whose current context is an API server at this URL."""
    context = {"cluster": "fake", "user": "me"} | ({"namespace": namespace} if namespace else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "fake", "context": context}],
    }
    path = directory / "config"
    path.write_text(json.dumps(config))
    return path
