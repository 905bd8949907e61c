"""Sends the requests of prometheus-api-client through canary's own HTTP client."""

import os
import ssl
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from io import BytesIO

import requests
from requests.adapters import BaseAdapter

from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits, Proxy, Tls, default_context
from canary.http.proxies import environment_proxy, needs_proxy
from canary.metrics.authentication import extra_headers, login_of
from canary.metrics.credentials import CredentialsError, SentRequest, stamp_of
from canary.metrics.http_config import Connection, HttpConfig, TlsConfig

_TOKEN_BYTES = 1 << 20
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class PostingSession(requests.Session):
    """Moves a POST request's query into the body.

    prometheus-api-client sends it in the URL, and proxies truncate and log long URLs.
    """

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Send as requests does, after moving the parameters."""
        if request.method == "POST" and not request.data:
            request.data, request.params = request.params, {}
        return super().prepare_request(request)


class HttpAdapter(BaseAdapter):
    """Logs requests in and sends them within limits. Thread-safe.

    Certificates are read again when their files change.
    """

    def __init__(self, url: str, config: HttpConfig, rules: AddressRules, limits: Limits) -> None:
        """`url` is the base address of all requests."""
        super().__init__()
        self._url = url
        self._config = config
        self._rules = rules
        self._limits = limits
        self._lock = threading.Lock()
        self._client: HttpClient | None = None
        self._stamp: tuple[object, ...] = ()
        self._login = login_of(config, self._token_client)

    def send(
        self,
        request: requests.PreparedRequest,
        *_: object,
        **__: object,
    ) -> requests.Response:
        """Send the request. Raises CanaryError."""
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        method, url = request.method or "GET", request.url or ""
        headers = {**request.headers, **dict(extra_headers(self._config))}
        headers |= self._login.headers(SentRequest(method, url, headers, body))
        answer = self._connect_client().send(method, url, headers, body)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._login.refused()
        response = requests.Response()
        response.status_code = answer.status
        response.reason = responses.get(answer.status, "")
        response.headers.update(answer.headers)
        response.raw = BytesIO(answer.body)
        response.url, response.request = url, request
        return response

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect_client(self) -> HttpClient:
        stamp = stamp_of(self._config.tls_config.files)
        with self._lock:
            if self._client is None or stamp != self._stamp:
                if self._client is not None:
                    self._client.close()
                self._client = open_client(self._url, self._config, self._rules, self._limits)
                self._stamp = stamp
            return self._client

    def _token_client(
        self, url: str, connection: Connection, rules: AddressRules | None
    ) -> HttpClient:
        limits = Limits(self._limits.connect, self._limits.read, self._limits.whole, _TOKEN_BYTES)
        return open_client(url, connection, rules or self._rules, limits)


def open_client(url: str, config: Connection, rules: AddressRules, limits: Limits) -> HttpClient:
    """Return a client for one address. Raises CredentialsError for unreadable certificates."""
    proxy = _select_proxy(url, config, os.environ)
    return HttpClient(rules, limits, connections=10, tls=_build_tls(config.tls_config), proxy=proxy)


def _select_proxy(url: str, config: Connection, environment: Mapping[str, str]) -> Proxy | None:
    if config.proxy_from_environment:
        found = environment_proxy(url, environment)
        return Proxy(found) if found else None
    if config.proxy_url is None or (config.no_proxy and not needs_proxy(url, config.no_proxy)):
        return None
    headers = {
        name: ", ".join(value.get_secret_value() for value in values)
        for name, values in config.proxy_connect_header.items()
    }
    return Proxy(config.proxy_url.get_secret_value(), headers)


def _build_tls(config: TlsConfig) -> Tls:
    try:
        context = (
            ssl.create_default_context(cafile=config.ca_file)
            if config.ca_file
            else default_context()
        )
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file, password="")
    except (OSError, ssl.SSLError) as error:
        names = " and ".join(map(str, config.files))
        raise CredentialsError(
            f"cannot read the certificates in {names}: expected PEM, and the key of the "
            f"certificate: {error.strerror or error}"
        ) from error
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.min_version is not None:
        context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version is not None:
        context.maximum_version = _VERSIONS[config.max_version]
    return Tls(context, config.server_name)


def check_config(url: str, config: HttpConfig) -> None:
    """Read certificates and proxy once. Raises CanaryError if a request could not be sent."""
    limits = Limits()
    HttpAdapter(url, config, AddressRules(), limits).close()
    open_client(url, config, AddressRules(), limits).close()
