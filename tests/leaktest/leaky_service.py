"""A version in this process: answers requests, shows its pool on a page, and may leak."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POOL = 50


@dataclass
class LeakyService:
    """One connection of `leak_every` requests is not given back (0: all are)."""

    leak_every: int = 0
    leak_files: int = 0
    status: int = 200
    url: str = ""
    asked: int = 0
    lost: int = 0
    waiting: int = 0
    started: float = 1000.0
    page: Callable[["LeakyService"], tuple[int, bytes]] | None = None
    die: Callable[[], None] = lambda: None
    """Ends the server, in the middle of whatever it does."""
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> int:
        """One request; the status of its answer."""
        with self.lock:
            self.asked += 1
            if self.leak_every and self.asked % self.leak_every == 0 and self.lost < POOL:
                self.lost += 1
            return self.status

    def shown(self) -> tuple[int, bytes]:
        """The page of HikariCP's gauges, and of the process."""
        if self.page is not None:
            return self.page(self)
        files = 20 + (self.asked // self.leak_files if self.leak_files else 0)
        lines = {
            "hikaricp_connections_active": self.lost,
            "hikaricp_connections_max": POOL,
            "hikaricp_connections_pending": self.waiting,
            "hikaricp_connections_timeout_total": 0,
            "process_open_fds": files,
            "process_resident_memory_bytes": 50 << 20,
            "process_start_time_seconds": self.started,
        }
        return 200, "".join(f"{name} {value}\n" for name, value in lines.items()).encode()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, request, client_address):
        """A client that leaves is none."""


@contextmanager
def serve_leaky(leaky: LeakyService) -> Iterator[LeakyService]:
    """Serves it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            if leaky.dead:
                self.close_connection = True
                return
            metrics = self.path == "/metrics"
            status, body = leaky.shown() if metrics else (leaky.take(), b"")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    listening = _Quiet(("127.0.0.1", 0), Handler)
    leaky.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()

    def die():
        leaky.dead = True
        listening.shutdown()
        listening.server_close()

    leaky.die = die
    try:
        yield leaky
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
