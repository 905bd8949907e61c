"""Apprise has clients of its own: what they may connect to is checked where they connect."""

import socket
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from canary.errors import CanaryError
from canary.http.addresses import AddressRules
from canary.notify.apprise_process import build_hook
from canary.notify.message import ApprisePayload
from canary.notify.sender import (
    DeliveryError,
    DeliveryTimeouts,
    PayloadSender,
    RefusedDeliveryError,
)
from tests.notify.fixtures_messages import AT, ScriptedAnswer, WebhookReceiver

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture(autouse=True)
def _needs_apprise() -> None:
    pytest.importorskip("apprise")


def deliver(url: str, rules: AddressRules, seconds: float = 30.0) -> None:
    """Send one message to an Apprise address."""
    sender = PayloadSender(rules, DeliveryTimeouts(whole=seconds))
    sender.send(ApprisePayload(url, "A title", "Some text", "failure"), AT)


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:{port}/",
        "json://localhost:{port}/",
        "json://2130706433:{port}/",
        "mailto://user:pass@example.com?smtp=127.0.0.1&port={port}",
    ],
)
def test_apprise_is_not_connected_to_a_forbidden_address(url: str):
    """Over HTTP and SMTP, however the address is written; the message does not repeat it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        with pytest.raises(RefusedDeliveryError, match="loopback") as caught:
            deliver(url.format(port=port), AddressRules())
        assert str(port) not in str(caught.value)
        with pytest.raises(TimeoutError):
            server.accept()


def test_apprise_sends_no_datagram_to_a_forbidden_address():
    """Syslog is sent without a connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        url = f"rsyslog://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(CanaryError):
            deliver(url, AddressRules())
        with pytest.raises(TimeoutError):
            server.recv(1)
        deliver(url, LOOPBACK)
        assert b"Some text" in server.recv(4096)


def test_apprise_uses_neither_proxies_nor_netrc_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The environment of the operator is not that of the process."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    with WebhookReceiver() as proxy, WebhookReceiver() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        deliver(server.url.replace("http://", "json://"), LOOPBACK)
        (request,) = server.requests
        assert "Authorization" not in request.headers
        assert not proxy.requests


def test_a_server_that_never_answers_ends_in_time():
    """The process is killed."""
    with WebhookReceiver(ScriptedAnswer(hang=True)) as server:
        url = server.url.replace("http://", "json://") + "/?rto=600"
        with pytest.raises(DeliveryError, match="did not finish within 5 s"):
            deliver(url, LOOPBACK, seconds=5.0)


@pytest.mark.parametrize(
    ("event", "values"),
    [
        ("socket.connect", (None, ("169.254.169.254", 80))),
        ("socket.connect", (None, ("metadata.example", 80))),
        ("socket.connect", (None, "/var/run/docker.sock")),
        ("socket.sendmsg", (None, ("10.96.0.1", 514))),
        ("subprocess.Popen", ("sh", ["sh"], None, None)),
        ("open", ("/var/run/secrets/kubernetes.io/serviceaccount/token", "r", 0)),
        ("open", (f"{sys.prefix}/../../../../../../../etc/passwd", "r", 0)),
        ("open", (b"/etc/canary/notify-secrets/pager/key", "rb", 0)),
    ],
)
def test_what_an_apprise_address_can_name_is_not_reached(event: str, values: tuple):
    """Names that nobody resolved, sockets and files of the operator, other programs."""
    rules = AddressRules(refused=(ip_network("10.96.0.0/12"),))
    with pytest.raises(PermissionError):
        build_hook(rules, (sys.prefix,), [])(event, values)


def test_what_a_delivery_needs_is_allowed():
    """A resolved address, a connected socket, and modules that are loaded later."""
    hook = build_hook(AddressRules(), (sys.prefix,), refused := [])
    hook("socket.connect", (None, ("93.184.216.34", 443)))
    hook("socket.sendmsg", (None, None))
    hook("open", (f"{sys.prefix}/lib/x.py", "r", 0))
    hook("open", (3, "r", 0))
    assert refused == []
