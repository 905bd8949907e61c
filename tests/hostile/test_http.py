"""Requests to addresses that other people choose: which are sent, and what may come back."""

import ast
import gzip
import socket
import threading
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from canary.http.addresses import EVERYWHERE, AddressError, AddressRules
from canary.http.client import BadAddressError, HttpClient, HttpError, Limits
from tests.http_server import HttpServer, Reply

ROOT = Path(__file__).parents[2]
CLIENTS = {"requests", "urllib3", "aiohttp", "httpx", "http.client", "urllib.request", "pycurl"}
OTHERS = {
    "canary/http/client.py",
    "canary/kube/transport.py",  # the API server
    "canary/metrics/http.py",  # the Prometheus of the administrator's flag
    "canary/metrics/query_api.py",
    "canary/loadtest/generator/client.py",  # a person's own load
    "canary/loadtest/generator/engine.py",
}
LIMITS = Limits(connect=2.0, read=2.0, whole=2.0, size=1 << 20)


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {one for name in found for one in CLIENTS if name == one or name.startswith(f"{one}.")}


def test_only_the_one_client_sends_to_addresses_of_other_people():
    """The demo talks to processes that it has started itself."""
    importers = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "canary").rglob("*.py")
        if "demo" not in file.parts and _imports(file)
    }
    assert importers == OTHERS


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104  # not bound to
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "10.96.0.1",
    ],
)
def test_addresses_that_no_tenant_may_make_us_ask(address: str):
    """The last is in a network that the administrator refuses."""
    with pytest.raises(AddressError):
        AddressRules(refused=(ip_network("10.96.0.0/12"),)).check(address)


def test_services_and_pods_may_be_asked_unless_their_network_is_refused():
    """A check is mostly a Service of the cluster."""
    for address in ("10.96.0.1", "10.244.0.7", "192.168.0.1", "fd00::7", "93.184.216.34"):
        AddressRules().check(address)
    AddressRules(allowed=(ip_network("127.0.0.0/8"),)).check("127.0.0.1")


def test_a_name_that_resolves_to_loopback_is_not_connected_to(server: HttpServer):
    """Names, numbers in any spelling and the mapped form come to the same address."""
    port = server.address.rpartition(":")[2]
    client = HttpClient(AddressRules(), LIMITS)
    for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        with pytest.raises(AddressError):
            client.send("GET", f"http://{host}:{port}/")
    assert server.requests == []


def test_a_name_is_resolved_once_for_each_connection(server: HttpServer):
    """Whoever answers differently the second time is not asked a second time."""
    asked: list[str] = []
    port = int(server.address.rpartition(":")[2])

    def resolve(host: str, *more: Any, **named: Any) -> list[Any]:
        asked.append(host)
        return socket.getaddrinfo("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *more, **named)

    server.answer = lambda _: Reply(b"ok")
    client = HttpClient(EVERYWHERE, LIMITS, resolve=resolve)
    answer = client.send("GET", f"http://twice.example:{port}/")
    assert (answer.body, asked) == (b"ok", ["twice.example"])


def test_redirects_proxies_and_netrc_files_change_nothing(
    server: HttpServer, tmp_path, monkeypatch
):
    """A redirect is an answer as any other."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answer = lambda _: Reply(status=302, headers={"Location": f"{server.url}/other"})
    assert HttpClient(EVERYWHERE, LIMITS).send("GET", server.url).status == 302
    (request,) = server.requests
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "url",
    ["http://me:secret@127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1:0/", "http://[::", "x",
     "http://127.0.0.1:99999/", "http://a b/", "http://a/\r\nX: y", "http://" + "a" * 300],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(url: str):
    """The text may hold a secret."""
    with pytest.raises((BadAddressError, HttpError)) as caught:
        HttpClient(EVERYWHERE, LIMITS).send("GET", url)
    assert "secret" not in str(caught.value)
    assert "passwd" not in str(caught.value)


def test_an_answer_is_limited_after_decompression(server: HttpServer):
    """1 GiB of zeros in 1 MiB of gzip; what is read stays near the limit."""
    piece = gzip.compress(bytes(64 << 20))
    body = piece * 16
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    server.answer = lambda _: Reply(body, headers=headers)
    with pytest.raises(HttpError, match="larger than 1,048,576 bytes"):
        HttpClient(EVERYWHERE, LIMITS).send("GET", server.url)


def test_a_header_that_trickles_ends_in_time():
    """A byte now and then is never too late for a read time-out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.settimeout(5)
        over = threading.Event()

        def trickle() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while not over.wait(0.05):
                    try:
                        accepted.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(HttpError):
                HttpClient(EVERYWHERE, LIMITS).send("GET", url, seconds=0.3)
            assert time.monotonic() - began < 30
        finally:
            over.set()
            thread.join()
