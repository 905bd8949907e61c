"""A server whose every answer a test decides, and which remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class LoadTarget:
    """Where it is and what it was asked."""

    url: str
    asked: list[ReceivedRequest] = field(default_factory=list)


Answer = Callable[[ReceivedRequest], int]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500

    def handle_error(self, request, client_address):
        """A client that leaves is none."""


@contextmanager
def serve_target(answer: Answer = lambda _: 200) -> Iterator[LoadTarget]:
    """Answers with the status that `answer` returns; 0 closes the connection without one."""
    server = LoadTarget("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            port = self.client_address[1]
            asked = ReceivedRequest(self.command, self.path, dict(self.headers), body, port)
            server.asked.append(asked)
            status = answer(asked)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    for method in ("GET", "POST", "HEAD", "PUT"):
        setattr(Handler, f"do_{method}", Handler.handle_one)
    listening = _Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
