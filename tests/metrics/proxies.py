"""Small real proxies that demand something, and certificates made by openssl."""

import base64
import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from tests.http_server import ReceivedRequest, Reply


def forward_if(
    allowed: Callable[[ReceivedRequest], bool], prometheus: str
) -> Callable[[ReceivedRequest], Reply]:
    """Returns what a reverse proxy does that lets some requests through."""

    def answer(request: ReceivedRequest) -> Reply:
        if not allowed(request):
            return Reply(b"go away", 401)
        found = requests.post(
            prometheus + request.path,
            data=urlencode(request.form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=10,
        )
        kind = {"Content-Type": found.headers["Content-Type"]}
        return Reply(found.content, found.status_code, kind)

    return answer


class ConnectProxy:
    """An HTTP proxy with CONNECT; `connected` are the targets it has connected to."""

    def __init__(self, user: str | None = None) -> None:
        """`user` is `name:password`; without, everybody may connect."""
        self._wanted = user and base64.b64encode(user.encode()).decode()
        self.connected: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reader:
            method, target, _ = reader.readline().decode().split(" ", 2)
            header = {}
            while line := reader.readline().decode().strip():
                name, _, value = line.partition(": ")
                header[name.lower()] = value
            wanted = f"Basic {self._wanted}"
            if method != "CONNECT" or (
                self._wanted and header.get("proxy-authorization") != wanted
            ):
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            self.connected.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def make_certificates(home: Path) -> None:
    """Writes ca.pem, other-ca.pem, and NAME.pem with NAME.key for server, client and stranger.

    The server's name is prometheus.test, not that of its address. The stranger is of the other CA.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no `openssl` on PATH")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=home, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for ca in ("ca", "other-ca"):
        run(*new, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        san = (
            "subjectAltName=DNS:prometheus.test"
            if name == "server"
            else "basicConstraints=CA:FALSE"
        )
        run(
            *new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
            "-subj", f"/CN={name}", "-addext", san, "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
        )  # fmt: skip
