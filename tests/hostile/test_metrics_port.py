"""The metrics port with a token and TLS, read by a real client."""

import contextlib
import shutil
import socket
from pathlib import Path
from typing import Literal

import pytest
import requests
from requests.adapters import HTTPAdapter

from canary.cli import main as program
from canary.operator.main import MetricsOptions, prepare_servers
from canary.operator.metrics import OperatorMetrics
from canary.operator.server import MAX_CONNECTIONS
from tests.metrics.proxies import make_certificates

TOKEN = "c2VjcmV0"  # noqa: S105  # of this test alone
NAME = "prometheus.test"
"""The name in the server's certificate."""


class _Client(HTTPAdapter):
    """Expects a name in the certificate although an address is connected to; False: any name."""

    def __init__(self, name: str | Literal[False]) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args, **named) -> None:
        super().init_poolmanager(*args, assert_hostname=self._name, **named)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with token, certificates and keys."""
    make_certificates(tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return tmp_path


@pytest.fixture
def secured(files: Path):
    """The ports of probes and of metrics, with a token and TLS."""
    options = MetricsOptions(
        "127.0.0.1:0", "127.0.0.1:0", files / "token", files / "server.pem", files / "server.key"
    )
    servers = prepare_servers(options, OperatorMetrics().registry)({"/livez": list})
    yield [server.port for server in servers]
    for server in servers:
        server.stop()


def read(
    port: int,
    authority: Path,
    authorization: str = f"Bearer {TOKEN}",
    *,
    path: str = "metrics",
    name: str | Literal[False] = NAME,
) -> requests.Response:
    """Send one request as Prometheus would."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", _Client(name))
        headers = {"Authorization": authorization} if authorization else {}
        url = f"https://127.0.0.1:{port}/{path}"
        return session.get(url, headers=headers, timeout=10, verify=str(authority))


@pytest.mark.parametrize(
    "authorization",
    ["", TOKEN, "Bearer", "Bearer ", "Bearer c2VjcmV", f"Basic {TOKEN}", "Bearer caf\xe9"],
)
def test_metrics_are_for_who_brings_the_token(secured, files: Path, authorization: str):
    """Over TLS, checked with the authority that issued the certificate."""
    _, port = secured
    refused = read(port, files / "ca.pem", authorization)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "workqueue" not in refused.text
    allowed = read(port, files / "ca.pem")
    assert allowed.status_code == 200
    assert "# HELP workqueue_" in allowed.text


def test_with_tls_the_plain_port_has_probes_and_no_metrics(secured, files: Path):
    """The kubelet checks no certificate and has no token."""
    plain, encrypted = secured
    assert requests.get(f"http://127.0.0.1:{plain}/livez", timeout=10).text == "ok"
    assert requests.get(f"http://127.0.0.1:{plain}/metrics", timeout=10).status_code == 404
    assert read(encrypted, files / "ca.pem", path="livez").status_code == 404
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{encrypted}/metrics", timeout=10)


def test_a_token_alone_protects_the_metrics_and_not_the_probes(files: Path):
    """Both are on one port then."""
    options = MetricsOptions("127.0.0.1:0", ":8443", files / "token")
    (server,) = prepare_servers(options, OperatorMetrics().registry)({"/livez": list})
    url = f"http://127.0.0.1:{server.port}"
    assert requests.get(f"{url}/livez", timeout=10).ok
    assert requests.get(f"{url}/metrics", timeout=10).status_code == 401
    assert requests.get(
        f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    ).ok
    server.stop()


def test_a_rotated_certificate_and_token_are_used_without_a_restart(secured, files: Path):
    """While the files do not belong together the previous certificate is served."""
    _, port = secured
    shutil.copy(files / "stranger.pem", files / "server.pem")
    assert read(port, files / "ca.pem").ok
    shutil.copy(files / "stranger.key", files / "server.key")
    # The stranger's certificate is of another authority and has another name.
    with pytest.raises(requests.exceptions.SSLError):
        read(port, files / "ca.pem")
    new = files / "other-ca.pem"
    assert read(port, new, name=False).ok
    (files / "token").write_text("another")
    assert read(port, new, name=False).status_code == 401
    assert read(port, new, "Bearer another", name=False).ok
    (files / "token").unlink()
    assert read(port, new, "Bearer another", name=False).status_code == 401


def test_metrics_are_served_beside_connections_that_never_finish_the_handshake(
    secured, files: Path
):
    """They count as connections from their first moment."""
    _, port = secured
    with contextlib.ExitStack() as stack:
        for _ in range(3 * MAX_CONNECTIONS):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            one.sendall(b"\x16\x03\x01")
        assert read(port, files / "ca.pem").ok


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--metrics-token-file", "/no/file"], "--metrics-token-file: cannot read /no/file"),
        (["--metrics-token-file", "empty"], "expected a token in empty, found none"),
        (["--metrics-tls-cert", "server.pem"], "expected both, found one"),
        (
            ["--metrics-tls-cert", "server.pem", "--metrics-tls-key", "client.key"],
            "expected a certificate in server.pem and its private key in client.key",
        ),
        (
            ["--metrics-tls-cert", "server.pem", "--metrics-tls-key", "locked.key"],
            "without a password",
        ),
        (["--metrics-tls-cert", "x.pem", "--metrics-tls-key", "x.key"], "No such file"),
        (["--metrics-tls-address", "here"], "--metrics-tls-address: expected HOST:PORT"),
    ],
)
def test_a_wrong_file_ends_the_start_with_a_sentence(
    files: Path, flags: list[str], words: str, capsys, monkeypatch
):
    """Exit code 2, before the cluster is asked anything."""
    (files / "empty").write_text("\n")
    locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
    (files / "locked.key").write_text(locked)
    monkeypatch.chdir(files)
    assert program.main(["operator", "--kubeconfig", "/no/file", *flags]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
