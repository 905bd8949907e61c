"""The port of probes and metrics: reachable for anybody, and answering the kubelet."""

import contextlib
import socket
import threading

import pytest
import requests

from canary.operator.metrics import OperatorMetrics
from canary.operator.server import MAX_CONNECTIONS, OperatorServer
from tests.metrics.real_prometheus import wait_until


@pytest.fixture
def probes():
    """A server of its own."""
    server = OperatorServer(
        ("127.0.0.1", 0), {"/livez": list, "/readyz": list}, OperatorMetrics().registry
    )
    yield server
    server.stop()


def test_a_probe_is_answered_beside_1500_slow_connections(probes: OperatorServer):
    """They send half a header and nothing more; no thread and no answer is theirs."""
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        slow = []
        for _ in range(1500):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", probes.port), 10))
            one.sendall(b"GET /livez HTTP/1.1\r\nX: ")
            slow.append(one)
        for path in ("/livez", "/readyz", "/metrics"):
            assert requests.get(f"http://127.0.0.1:{probes.port}{path}", timeout=10).ok
        assert threading.active_count() == before
        wait_until(
            lambda: sum(_closed(one) for one in slow) >= 1500 - MAX_CONNECTIONS,
            "the end of the oldest",
        )


def _closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"POST /livez HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET " + b"/" * 60_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_a_request_that_is_none_harms_nobody(probes: OperatorServer, request_: bytes):
    """The next one is answered."""
    address = ("127.0.0.1", probes.port)
    with socket.create_connection(address, 10) as one, contextlib.suppress(OSError):
        one.sendall(request_)
        one.shutdown(socket.SHUT_WR)
        while one.recv(4096):
            pass
    assert requests.get(f"http://127.0.0.1:{probes.port}/livez", timeout=10).text == "ok"
