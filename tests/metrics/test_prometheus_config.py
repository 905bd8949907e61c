"""Each way to log in to Prometheus, against a real one that demands it."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from canary.errors import UsageError
from canary.http.proxies import environment_proxy, needs_proxy
from canary.metrics.aws_signature import AwsKeys, SigningScope, sign_request
from canary.metrics.options import COMMAND, PrometheusSources, options_of
from canary.metrics.query_api import PrometheusClient, QueryError
from tests.http_server import HttpServer, ReceivedRequest, Reply
from tests.metrics.proxies import ConnectProxy, forward_if, make_certificates
from tests.metrics.real_prometheus import RealPrometheus

BASIC = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
"""Of the password `test`, as in Prometheus' documentation of its web configuration."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with certificates."""
    made = tmp_path_factory.mktemp("logins")
    make_certificates(made)
    return made


def start(home: Path, name: str, web: dict[str, Any], **session: Any) -> RealPrometheus:
    """A Prometheus with this web configuration, and nothing to scrape."""
    directory = home / name
    directory.mkdir()
    (home / f"{name}.yml").write_text(yaml.safe_dump(web))
    return RealPrometheus(directory, "{}", f"--web.config.file={home / name}.yml", **session)


@pytest.fixture(scope="module")
def with_password(home: Path) -> Iterator[str]:
    """Address of a Prometheus that demands a password."""
    running = start(home, "basic", {"basic_auth_users": {"me": BASIC}}, auth=("me", "test"))
    yield running.url
    running.close()


@pytest.fixture(scope="module")
def with_certificate(home: Path) -> Iterator[str]:
    """Address of a Prometheus that demands the certificate of a client."""
    tls = {
        "cert_file": str(home / "server.pem"),
        "key_file": str(home / "server.key"),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(home / "ca.pem"),
    }
    running = start(home, "mtls", {"tls_server_config": tls}, scheme="https")
    yield running.url
    running.close()


@pytest.fixture(scope="module")
def plain(home: Path) -> Iterator[str]:
    """Address of a Prometheus that demands nothing."""
    running = start(home, "plain", {})
    yield running.url
    running.close()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., float]]:
    """Runs a query with a configuration; raises QueryError."""
    clients: list[PrometheusClient] = []

    def run(config: dict[str, Any] | str) -> float:
        text = config if isinstance(config, str) else yaml.safe_dump(config)
        (tmp_path / "prometheus.yaml").write_text(text)
        options = options_of(None, tmp_path / "prometheus.yaml")
        assert options is not None
        clients.append(PrometheusClient(options))
        return clients[-1].query("vector(7)")[0].points[-1][1]

    yield run
    for client in clients:
        client.close()


def test_basic_auth(ask, with_password: str, tmp_path: Path):
    """From the file, and from files beside it; a wrong password is refused in words."""
    (tmp_path / "secret").write_text("test\n")
    for password in ({"password": "test"}, {"password_file": "secret"}):
        assert ask({"url": with_password, "basic_auth": {"username": "me"} | password}) == 7
    with pytest.raises(QueryError, match=r"HTTP 401.*check the credentials"):
        ask({"url": with_password, "basic_auth": {"username": "me", "password": "tset"}})
    with pytest.raises(QueryError, match="401"):
        ask({"url": with_password})


def test_client_certificates(ask, with_certificate: str, home: Path):
    """The server's name differs from its address; without a certificate nobody gets in."""
    ca = {"ca_file": str(home / "ca.pem"), "server_name": "prometheus.test"}
    mine = {"cert_file": str(home / "client.pem"), "key_file": str(home / "client.key")}
    assert ask({"url": with_certificate, "tls_config": ca | mine}) == 7
    assert ask({"url": with_certificate, "tls_config": mine | {"insecure_skip_verify": True}}) == 7
    with pytest.raises(QueryError):
        ask({"url": with_certificate, "tls_config": ca})
    with pytest.raises(QueryError, match="TLS failed"):
        ask({"url": with_certificate, "tls_config": mine | {"ca_file": str(home / "ca.pem")}})
    other = {"ca_file": str(home / "other-ca.pem"), "server_name": "prometheus.test"}
    with pytest.raises(QueryError, match="TLS failed"):
        ask({"url": with_certificate, "tls_config": mine | other})


def test_certificates_are_read_again_when_they_change(with_certificate: str, home, tmp_path):
    """As a mounted Secret changes."""
    for name in ("pem", "key"):
        shutil.copy(home / f"stranger.{name}", tmp_path / f"mine.{name}")
    tls = {"ca_file": str(home / "ca.pem"), "server_name": "prometheus.test"}
    tls |= {"cert_file": "mine.pem", "key_file": "mine.key"}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"url": with_certificate, "tls_config": tls}))
    options = options_of(None, tmp_path / "p.yaml")
    assert options is not None
    client = PrometheusClient(options)
    with pytest.raises(QueryError):
        client.query("vector(7)")
    for name in ("pem", "key"):
        shutil.copy(home / f"client.{name}", tmp_path / f"new.{name}")
        (tmp_path / f"new.{name}").replace(tmp_path / f"mine.{name}")
    assert client.query("vector(7)")[0].points[-1][1] == 7
    client.close()


def test_tokens_and_headers(ask, plain: str, server: HttpServer, tmp_path: Path):
    """Behind a proxy that demands a token and a tenant; both are read again when they change."""

    def allowed(request: ReceivedRequest) -> bool:
        mine = request.headers.get("Authorization"), request.headers.get("X-Scope-OrgID")
        return mine == ("Bearer s3cret", "team-a, team-b")

    server.answer = forward_if(allowed, plain)
    (tmp_path / "token").write_text("old")
    (tmp_path / "tenant").write_text("team-b\n")
    config = {
        "url": server.url,
        "authorization": {"credentials_file": "token"},
        "http_headers": {"X-Scope-OrgID": {"values": ["team-a"], "files": ["tenant"]}},
    }
    with pytest.raises(QueryError, match="401"):
        ask(config)
    (tmp_path / "token").write_text("s3cret")
    assert ask(config) == 7
    with pytest.raises(QueryError, match="401"):
        ask({"url": server.url, "authorization": {"credentials": "s3cret"}})


def test_oauth2(plain: str, server: HttpServer, tmp_path: Path):
    """A token is fetched once, and again after it is refused."""
    valid = "first"

    def answer(request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            body = {"access_token": valid, "token_type": "Bearer", "expires_in": 3600}
            return Reply(json.dumps(body).encode())
        return forward_if(lambda one: one.headers.get("Authorization") == f"Bearer {valid}", plain)(
            request
        )

    server.answer = answer
    (tmp_path / "p.yaml").write_text(
        yaml.safe_dump(
            {
                "url": server.url,
                "oauth2": {
                    "client_id": "canary",
                    "client_secret": "hunter2",
                    "token_url": f"{server.url}/token",
                    "scopes": ["read", "metrics"],
                    "endpoint_params": {"audience": "prometheus"},
                },
            }
        )
    )
    options = options_of(None, tmp_path / "p.yaml")
    assert options is not None
    client = PrometheusClient(options)
    for _ in range(2):
        assert client.query("vector(7)")[0].points[-1][1] == 7
    tokens = [one for one in server.requests if one.path == "/token"]
    assert len(tokens) == 1
    assert tokens[0].headers["Authorization"] == "Basic Y2FuYXJ5Omh1bnRlcjI="  # canary:hunter2
    assert tokens[0].form == {
        "grant_type": "client_credentials", "scope": "read metrics", "audience": "prometheus",
    }  # fmt: skip
    valid = "second"
    with pytest.raises(QueryError, match="401"):
        client.query("vector(7)")
    assert client.query("vector(7)")[0].points[-1][1] == 7
    client.close()


def test_a_proxy_with_credentials(ask, with_certificate: str, home: Path):
    """TLS goes through CONNECT; the proxy's name and password stand in its URL."""
    tls = {
        "ca_file": str(home / "ca.pem"), "server_name": "prometheus.test",
        "cert_file": str(home / "client.pem"), "key_file": str(home / "client.key"),
    }  # fmt: skip
    proxy = ConnectProxy("user:pa:ss")
    config = {"url": with_certificate, "tls_config": tls}
    assert ask(config | {"proxy_url": f"http://user:pa%3Ass@{proxy.address}"}) == 7
    assert proxy.connected == [with_certificate.removeprefix("https://")]
    with pytest.raises(QueryError, match="the proxy does not connect") as caught:
        ask(config | {"proxy_url": f"http://user:hunter2@{proxy.address}"})
    assert "hunter2" not in str(caught.value)
    without = {"proxy_url": f"http://{proxy.address}", "no_proxy": "127.0.0.0/8"}
    assert ask(config | without) == 7
    assert len(proxy.connected) == 1
    proxy.close()


@pytest.mark.parametrize(
    ("url", "no_proxy", "needed"),
    [
        ("http://prometheus.corp/", "", True),
        ("http://prometheus.corp/", "corp", False),
        ("http://prometheus.corp/", ".corp", False),
        ("http://corp/", ".corp", True),
        ("http://corp/", "corp", False),
        ("http://badcorp/", "corp", True),
        ("http://prometheus.corp:9090/", "corp:9090", False),
        ("http://prometheus.corp:9091/", "corp:9090", True),
        ("http://10.1.2.3/", "10.0.0.0/8", False),
        ("http://11.1.2.3/", "10.0.0.0/8,10.1.2.3", True),
        ("http://[fd00::1]:80/", "fd00::1", False),
        ("http://[fd00::1]/", "fd00::/8", False),
        ("http://anything/", "*", False),
        ("http://localhost:9090/", "", False),
        ("http://127.0.0.1/", "", False),
    ],
)
def test_no_proxy_has_the_rules_of_prometheus(url: str, no_proxy: str, *, needed: bool):
    """Those of Go's httpproxy."""
    assert needs_proxy(url, no_proxy) is needed


def test_the_proxy_of_the_environment():
    """By scheme, in capital or small letters."""
    found = {"HTTPS_PROXY": "http://a:1", "http_proxy": "http://b:1", "NO_PROXY": "inside"}
    assert environment_proxy("https://x/", found) == "http://a:1"
    assert environment_proxy("http://x/", found) == "http://b:1"
    assert environment_proxy("https://inside/", found) is None
    assert environment_proxy("https://x/", {}) is None


KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT = 1440938160.0
"""2015-08-30T12:36:00Z."""


@pytest.mark.parametrize(
    ("method", "kind", "body", "signature"),
    [
        pytest.param(
            "GET", "", b"",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            "POST", "application/x-www-form-urlencoded", b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
    ],
)  # fmt: skip
def test_aws_signature_version_4(method: str, kind: str, body: bytes, signature: str):
    """Vectors of AWS' own test suite (aws-sig-v4-test-suite)."""
    scope = SigningScope("us-east-1", "service")
    added = sign_request(method, "https://example.amazonaws.com/", kind, body, KEYS, scope, MOMENT)
    assert added["X-Amz-Date"] == "20150830T123600Z"
    assert added["Authorization"].endswith(f"Signature={signature}")


def test_requests_are_signed_for_aws(ask, plain: str, server: HttpServer):
    """As Amazon's Prometheus expects: with its service, and only after a signature."""
    server.answer = forward_if(
        lambda one: "/eu-west-1/aps/aws4_request" in one.headers.get("Authorization", ""), plain
    )
    keys = {"region": "eu-west-1", "access_key": "AKID", "secret_key": "hunter2"}
    assert ask({"url": server.url, "sigv4": keys}) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url: http://a\nbasic_oth: {}", r"p.yaml:2:1: basic_oth: unknown field.*mean basic_auth"),
        ("url: http://me:hunter2@a", "url: expected a URL such as .* without name and password"),
        ("url: hunter2", "a text that does not fit"),
        (
            "basic_auth: {username: me, password: 12345678}",
            "basic_auth.password: expected a text on one",
        ),
        ("authorization: hunter2", "authorization: expected a mapping"),
        ("authorization: {credentials: hunter2, type: basic}", "expected basic_auth"),
        ("authorization: {}", "expected credentials or credentials_file, found neither"),
        ("basic_auth: {username: a, password: hunter2, password_file: p.yaml}", "either password"),
        ("authorization: {credentials_file: gone}", "found .*gone: No such file.*correct the path"),
        ("tls_config: {cert_file: p.yaml}", "expected key_file together with cert_file"),
        ("tls_config: {ca_file: p.yaml}", "cannot read the certificates"),
        ("no_proxy: a", "expected proxy_url together with no_proxy"),
        ("proxy_url: hunter2", "proxy_url: expected a URL such as"),
        ("follow_redirects: true", "follow_redirects: .*[Ff]alse"),
        ("http_headers: {Authorization: {values: [hunter2]}}", "a header other than Authorization"),
        ("http_headers: {X-A: {valeus: [hunter2]}}", r"http_headers.X-A.valeus: .*mean values"),
        ("oauth2: {client_id: a, token_url: http://a}", "client_secret or client_secret_file"),
        (
            "sigv4: {region: a}\nauthorization: {credentials: hunter2}",
            "at most one of .* found authorization and sigv4",
        ),
        ("sources: {a: {url: http://a}, b: {url: http://b}}", "expected default"),
        ("sources: {a: {url: http://a}}\ndefault: b", "expected the name of a source: a"),
        ("sources: {a: {}}", "sources.a: expected url"),
        ("sources: {a: {url: http://a}}\nurl: http://b", "url: expected this field in each"),
        ("sources: {A_: {url: http://a}}", "DNS label"),
        ("password: *hunter2", "this is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_and_no_secret_repeated(text: str, words: str, tmp_path: Path):
    """With line and column, what is expected, and what to do."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        PrometheusSources("http://b", path, COMMAND)
    assert "hunter2" not in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_no_secret_is_in_a_repr(tmp_path: Path):
    """Logs and tracebacks show it."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "url: http://localhost\nproxy_url: http://a:hunter2@b\n"
        "basic_auth: {username: me, password: hunter2}\nhttp_headers: {X: {values: [hunter2]}}\n"
    )
    assert "hunter2" not in repr(options_of(None, path))


def test_one_of_several_sources_is_selected(tmp_path: Path):
    """By the command line, else by the release, else the default."""
    path = tmp_path / "p.yaml"
    path.write_text("default: b\nsources: {a: {url: 'http://a'}, b: {url: 'http://b'}}\n")
    sources = PrometheusSources(None, path, COMMAND)
    assert [sources.select(name).url for name in (None, "a", "b")] == [
        "http://b", "http://a", "http://b",
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"no Prometheus is named 'c': expected one of b, a in"):
        sources.select("c")
    assert PrometheusSources("a", path, COMMAND).select_for("b").url == "http://a"
    with pytest.raises(UsageError, match="no Prometheus is named 'x'"):
        PrometheusSources("x", path, COMMAND).select_for(None)
    with pytest.raises(UsageError, match="both have addresses"):
        PrometheusSources("http://c", path, COMMAND)
    # An address that was typed is used whatever the release names.
    typed = PrometheusSources("http://c", None, COMMAND)
    assert typed.select_for("a").url == "http://c"
    with pytest.raises(UsageError, match="no source has a name"):
        typed.select("a")


def test_a_changed_file_is_read_again_unless_it_is_wrong(tmp_path: Path, caplog):
    """The operator goes on with what it has."""
    path = tmp_path / "p.yaml"

    def write(text: str) -> None:
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(path)

    write("url: http://a\nbasic_auth: {username: me, password: old}")
    sources = PrometheusSources(None, path, COMMAND)
    before = sources.select(None)
    assert sources.select(None) == before
    write("url: http://a\nbasic_auth: {username: me, password: new}")
    after = sources.select(None)
    assert after != before
    with caplog.at_level(logging.ERROR):
        write("url: http://a\nbasic_auth: hunter2")
        assert sources.select(None) == after
    assert "is not used" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_examples_of_the_documentation_are_files_that_can_be_read(tmp_path: Path):
    """Every block of YAML in docs/prometheus.md but the part of a release."""
    page = (Path(__file__).parents[2] / "docs/prometheus.md").read_text()
    blocks = re.findall(r"(?<!-->\n)```yaml\n(.*?)```", page, re.DOTALL)
    for name in ("password", "token", "payments-token"):
        (tmp_path / name).write_text("secret")
    make_certificates(tmp_path)
    for name, source in (
        ("ca.crt", "ca.pem"),
        ("tls.crt", "client.pem"),
        ("tls.key", "client.key"),
    ):
        shutil.copy(tmp_path / source, tmp_path / name)
    assert len(blocks) == 4
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert PrometheusSources(None, path, COMMAND).select(None).url.startswith("http")


def make_service_account(path: Path, token_url: str) -> RSAPublicKey:
    """Write the key of a service account, as Google issues it; return its public half."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "shop",
                "private_key_id": "1",
                "private_key": text,
                "client_email": "canary@shop.iam.gserviceaccount.com",
                "token_uri": token_url,
            }
        )
    )
    return key.public_key()


def test_a_token_of_a_google_service_account(plain: str, server: HttpServer, tmp_path: Path):
    """Signed by its key, for reading metrics; fetched once, and again when it is refused."""
    public = make_service_account(tmp_path / "account.json", f"{server.url}/token")
    valid = "first"

    def answer(request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            body = {"access_token": valid, "token_type": "Bearer", "expires_in": 3600}
            return Reply(json.dumps(body).encode())
        return forward_if(lambda one: one.headers.get("Authorization") == f"Bearer {valid}", plain)(
            request
        )

    server.answer = answer
    config = {"url": server.url, "google_iam": {"credentials_file": "account.json"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(config))
    options = options_of(None, tmp_path / "p.yaml")
    assert options is not None
    with closing(PrometheusClient(options)) as client:
        for _ in range(2):
            assert client.query("vector(7)")[0].points[-1][1] == 7
        tokens = [one.form for one in server.requests if one.path == "/token"]
        assert len(tokens) == 1
        assert tokens[0]["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        signed, _, signature = tokens[0]["assertion"].rpartition(".")
        public.verify(decode_part(signature), signed.encode(), PKCS1v15(), SHA256())
        claims = json.loads(decode_part(signed.partition(".")[2]))
        assert claims["iss"] == "canary@shop.iam.gserviceaccount.com"
        assert claims["scope"] == "https://www.googleapis.com/auth/monitoring.read"
        valid = "second"
        with pytest.raises(QueryError, match="401"):
            client.query("vector(7)")
        assert client.query("vector(7)")[0].points[-1][1] == 7


def decode_part(text: str) -> bytes:
    """Decode a part of a JSON Web Token."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


ASK = """
import sys
from pathlib import Path
from canary.metrics.options import options_of
from canary.metrics.query_api import PrometheusClient
print(PrometheusClient(options_of(None, Path(sys.argv[1]))).query("vector(7)")[0].points[-1][1])
"""


def test_the_token_of_a_pod_on_google_cloud(plain: str, server: HttpServer, tmp_path: Path):
    """Without a file, from the metadata server, which says so in a header of its own."""

    def answer(request: ReceivedRequest) -> Reply:
        if not request.path.startswith("/computeMetadata") and request.path != "/":
            return forward_if(
                lambda one: one.headers.get("Authorization") == "Bearer pods-own", plain
            )(request)
        assert request.headers["Metadata-Flavor"] == "Google"
        reply: object = {"access_token": "pods-own", "expires_in": 3600, "token_type": "Bearer"}
        if "token" not in request.path:
            reply = {"aliases": ["default"], "email": "canary@shop", "scopes": []}
        headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        return Reply(json.dumps(reply).encode(), headers=headers)

    server.answer = answer
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"url": server.url, "google_iam": {}}))
    # google-auth reads these variables when it is imported.
    address = server.url.removeprefix("http://")
    names = ("GCE_METADATA_HOST", "GCE_METADATA_IP")
    environment = {**os.environ, **dict.fromkeys(names, address), "CLOUDSDK_CONFIG": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "7.0\n", done.stderr


@pytest.mark.parametrize(
    ("account", "words"),
    [
        pytest.param("{}", "with a type of service_account", id="no credentials in the file"),
        pytest.param("", "expected credentials of Google Cloud in JSON", id="no JSON"),
        pytest.param('{"type": "external_account"}', "expected credentials", id="incomplete"),
        pytest.param(None, "no token from Google: .*invalid_grant", id="refused by Google"),
    ],
)
def test_google_credentials_without_a_token_say_why(
    ask, server: HttpServer, tmp_path: Path, account: str | None, words: str
):
    """Nothing is sent to Prometheus without a token, and no key is repeated."""
    body = b'{"error": "invalid_grant", "error_description": "no such account"}'
    server.answer = lambda _: Reply(body, 400, {"Content-Type": "application/json"})
    path = tmp_path / "account.json"
    if account is None:
        make_service_account(path, f"{server.url}/token")
    else:
        path.write_text(account)
    config = {"url": server.url, "google_iam": {"credentials_file": "account.json"}}
    with pytest.raises(QueryError, match=words) as caught:
        ask(config)
    assert "PRIVATE KEY" not in str(caught.value)
    assert all(one.path == "/token" for one in server.requests)
