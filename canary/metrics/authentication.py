"""The headers that log a request in to Prometheus, as its HTTP client configuration says.

Files are read for every request, because mounted Secrets are rotated in place. A token of an
authorization server is kept until shortly before it expires, or until it is refused.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from canary.clock import now
from canary.errors import CanaryError
from canary.http.addresses import EVERYWHERE, AddressRules
from canary.http.client import HttpClient
from canary.http.urls import basic_auth
from canary.metrics.aws_signature import AwsKeys, SigningScope, keys_of, sign_request
from canary.metrics.credentials import CredentialsError, Headers, Login, SentRequest
from canary.metrics.google_login import GoogleLogin
from canary.metrics.http_config import BasicAuth, Connection, HttpConfig, OAuth2, SigV4

EARLY = 10.0
"""Seconds before its end from which a token is not used, as in Go's client."""
Connect = Callable[[str, Connection, AddressRules | None], HttpClient]
"""Opens a client for a URL; without rules of its own those of the Prometheus hold."""
DEFAULT_LIFETIME = 300.0
"""Seconds for which a token is kept if the answer does not say."""


def login_of(config: HttpConfig, connect: Connect) -> Login:
    """Return the login that the configuration asks for; `connect` returns clients for tokens."""
    if (oauth2 := config.oauth2) is not None:
        return TokenLogin(oauth2, partial(connect, oauth2.token_url, oauth2, None))
    if config.google_iam is not None:
        # As Prometheus, which sends these requests by Go's default client. The token of a pod comes
        # from a metadata server, to which no other request may go.
        usual = Connection(proxy_from_environment=True)
        return GoogleLogin(config.google_iam, lambda url: connect(url, usual, EVERYWHERE))
    if config.sigv4 is not None:
        return AwsLogin(config.sigv4, keys_of(config.sigv4))
    return FileLogin(config)


@dataclass(frozen=True, slots=True)
class FileLogin:
    """Basic authentication, or a header Authorization; or nothing."""

    config: HttpConfig

    def headers(self, _request: SentRequest) -> Headers:
        """See Login."""
        if (basic := self.config.basic_auth) is not None:
            return _basic_headers(basic)
        if (one := self.config.authorization) is not None:
            credentials = _read_value(one.credentials, one.credentials_file)
            return {"Authorization": f"{one.type} {credentials}"}
        return {}

    def refused(self) -> None:
        """See Login."""


def _basic_headers(basic: BasicAuth) -> Headers:
    password = ""
    if basic.password is not None or basic.password_file is not None:
        password = _read_value(basic.password, basic.password_file)
    return basic_auth(_read_value(basic.username, basic.username_file), password)


@dataclass(frozen=True, slots=True)
class AwsLogin:
    """A signature for AWS."""

    config: SigV4
    keys: AwsKeys

    def headers(self, request: SentRequest) -> Headers:
        """See Login."""
        scope = SigningScope(self.config.region, self.config.service_name)
        kind = request.headers.get("Content-Type", "")
        return sign_request(
            request.method, request.url, kind, request.body, self.keys, scope, now()
        )

    def refused(self) -> None:
        """See Login."""


class TokenLogin:
    """OAuth 2.0, client credentials (RFC 6749, section 4.4)."""

    def __init__(
        self,
        config: OAuth2,
        connect: Callable[[], HttpClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`connect` returns a client for one request; `clock` gives monotonic seconds."""
        self._config = config
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def headers(self, _request: SentRequest) -> Headers:
        """See Login; one thread fetches a token, the others wait for it."""
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._token, lifetime = self._fetch_token()
                self._ends = self._clock() + lifetime - EARLY
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> None:
        """See Login; the next request fetches a token."""
        with self._lock:
            self._token = ""

    def _fetch_token(self) -> tuple[str, float]:
        """Return a token, and for how many seconds it is valid."""
        config = self._config
        secret = _read_value(config.client_secret, config.client_secret_file)
        form = {"grant_type": "client_credentials"}
        if config.scopes:
            form["scope"] = " ".join(config.scopes)
        form |= {name: value.get_secret_value() for name, value in config.endpoint_params.items()}
        # RFC 6749, section 2.3.1: both are encoded as in a form first.
        identifier = quote(config.client_id.get_secret_value(), safe="")
        headers = {
            **basic_auth(identifier, quote(secret, safe="")),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        where = f"no token from {config.token_url}"
        try:
            with closing(self._connect()) as client:
                answer = client.send("POST", config.token_url, headers, urlencode(form).encode())
        except CanaryError as error:
            raise CredentialsError(f"{where}: {error}") from error
        if answer.status != HTTPStatus.OK:
            raise CredentialsError(
                f"{where}: HTTP {answer.status}; check client_id, client_secret and scopes"
            )
        return _parse_token(answer.body, where)


def _parse_token(body: bytes, where: str) -> tuple[str, float]:
    try:
        found = json.loads(body)
        token, lifetime = found["access_token"], float(found.get("expires_in", DEFAULT_LIFETIME))
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        token, lifetime = None, 0.0
    if not isinstance(token, str) or not token or not token.isprintable():
        raise CredentialsError(f"{where}: expected JSON with access_token, found none")
    return token, lifetime


def extra_headers(config: HttpConfig) -> Iterator[tuple[str, str]]:
    """Yield the configured headers; several values of one are joined (RFC 9110, section 5.3)."""
    for name, one in config.http_headers.items():
        values = [value.get_secret_value() for value in (*one.values, *one.secrets)]
        yield name, ", ".join([*values, *map(_read_secret_file, one.files)])


def _read_value(given: SecretStr | None, path: Path | None) -> str:
    if given is not None:
        return given.get_secret_value()
    return _read_secret_file(path) if path is not None else ""


def _read_secret_file(path: Path) -> str:
    """Return the secret in a file. Raises CredentialsError with its path."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CredentialsError(f"cannot read the credentials in {path}: {why}") from error
    if not text or "\n" in text or "\r" in text:
        raise CredentialsError(
            f"{path}: expected one secret on one line, found none or several lines"
        )
    return text
