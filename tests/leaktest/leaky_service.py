"""A version in this process: answers requests, shows its pool on a page, and may leak."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.http_server import HttpServer, ReceivedRequest, Reply

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


@contextmanager
def serve_leaky(leaky: LeakyService) -> Iterator[LeakyService]:
    """Serves it on a free port."""

    def answer(request: ReceivedRequest) -> Reply | None:
        if leaky.dead:
            return None
        status, body = leaky.shown() if request.path == "/metrics" else (leaky.take(), b"")
        return Reply(body, status)

    with HttpServer(answer) as server:

        def die() -> None:
            leaky.dead = True
            server.close()

        leaky.url, leaky.die = server.url, die
        yield leaky
