"""A transport for `requests` that ends at a set time, however slowly an answer trickles in.

A read time-out alone does not: it counts from byte to byte. One webhook that sends a byte of its
header now and then would keep a thread for days.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry


class BoundedAdapter(HTTPAdapter):
    """No answer may take longer than `seconds` until its header is complete."""

    def __init__(self, seconds: float) -> None:
        self._pools = {"http": _plain(seconds), "https": _secure(seconds)}
        super().__init__(max_retries=Retry(0, redirect=False))

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # passed on
        """As in requests, with our connections."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **named: Any) -> PoolManager:  # noqa: ANN401  # passed on
        """As in requests, with our connections."""
        manager: PoolManager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _plain(seconds: float) -> type[HTTPConnectionPool]:
    class Connection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            with _Watch(self.sock, seconds):
                return super().getresponse()

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool


def _secure(seconds: float) -> type[HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            with _Watch(self.sock, seconds):
                return super().getresponse()

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


class _Watch:
    """Shuts a socket down after so many seconds: whoever reads from it gets its end."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._timer = threading.Timer(seconds, _cut, (sock,))
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # past TLS, which another thread is using
