"""The HTTP client for receivers, checks, metrics pages and Prometheus.

It follows no redirects, ignores the environment (proxies, .netrc), and connects only to addresses
that the rules allow: each connection resolves the name itself and connects to a checked address.
Behind a proxy, which resolves names itself, only the addresses found by a local lookup are checked.
The size of a response is limited after decompression, and the time for the whole response, so that
a slow sender cannot hold the connection.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.client import HTTPException
from types import MappingProxyType
from typing import Any, Final

import certifi
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPHeaderDict,
    HTTPResponse,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
    Timeout,
)
from urllib3 import exceptions as http_errors
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from canary.errors import CanaryError, PermanentError, TransientError
from canary.http.addresses import EVERYWHERE, AddressRules
from canary.http.urls import split_credentials, split_url

Resolve = Callable[..., list[Any]]
"""The type of socket.getaddrinfo."""
_CHUNK: Final = 1 << 16
_ends: ContextVar[float] = ContextVar("ends")
"""Deadline of the response header of the current request (monotonic clock, seconds)."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class HttpError(TransientError):
    """There was no complete response. The message contains no part of the address or response.

    `cause` is the reason from the operating system or the library, which may contain such parts.
    """

    cause: str = ""


class HostUnreachableError(HttpError):
    """The server cannot be reached."""


class ConnectTimeoutError(HostUnreachableError):
    """The connection was not established in time."""


class AnswerTimeoutError(HttpError):
    """The connection was established, but the response did not arrive in time."""


class TlsError(HttpError):
    """The TLS handshake failed: one side does not accept the certificate of the other."""


class ProxyRefusedError(HttpError):
    """The proxy refuses to connect to the address."""


class TooLargeError(HttpError):
    """The response exceeds the size limit."""


class BrokenOffError(HttpError):
    """The response ended early."""


class BadAddressError(PermanentError):
    """The address is invalid."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request: seconds to connect, between two bytes and in total; bytes to read."""

    connect: float = 3.0
    read: float = 10.0
    whole: float = 20.0
    size: int = 0
    """Maximum bytes of the body after decompression; 0: only status and headers are read."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings; `server_name` is the name in the certificate if it is not the URL's."""

    context: ssl.SSLContext
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; its URL may contain a user name and a password."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers for the proxy only."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response. `whole`: the response declares its own length, so truncation is detected."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    whole: bool = False


class HttpClient:
    """Sends requests from any thread and keeps connections open."""

    def __init__(  # noqa: PLR0913  # all but two have defaults
        self,
        rules: AddressRules,
        limits: Limits,
        *,
        connections: int = 1,
        tls: Tls | None = None,
        proxy: Proxy | None = None,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        """Keep at most `connections` to each address open.

        Raises BadAddressError if the proxy's address is invalid.
        """
        self._limits = limits
        self._rules = rules
        self._resolve = resolve
        self._proxied = proxy is not None
        tls = tls or Tls(default_context())
        settings: dict[str, Any] = {
            "num_pools": 64,
            "maxsize": connections,
            "ssl_context": tls.context,
            "retries": False,
        }
        if tls.server_name is not None:
            settings["server_hostname"] = tls.server_name
        self._pools = (
            PoolManager(**settings) if proxy is None else _build_proxy_pool(proxy, settings)
        )
        # The administrator chose the proxy, so its own address is not checked.
        self._pools.pool_classes_by_scheme = {
            "http": _build_http_pool(None if proxy else rules, resolve),
            "https": _build_https_pool(None if proxy else rules, resolve),
        }

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] = _NOTHING,
        body: bytes | None = None,
        seconds: float | None = None,
    ) -> HttpAnswer:
        """Return the response, whatever its status; `seconds` can shorten the total time limit.

        Raises:
            HttpError: no response, an incomplete one, or one that is too slow or too large.
            BadAddressError, AddressError: the address is invalid or forbidden.
        """
        limits = self._limits
        whole = limits.whole if seconds is None else min(seconds, limits.whole)
        read = min(limits.read, whole)
        timeout = Timeout(connect=min(limits.connect, read), read=read)
        ends = _ends.set(time.monotonic() + whole)
        try:
            response = self._open_response(method, url, headers, body, timeout)
        except (HTTPError, OSError, ValueError) as error:
            raise _translate_error(error, read) from None
        finally:
            _ends.reset(ends)
        try:
            return HttpAnswer(
                response.status,
                response.headers,
                _read_body(response, limits) if limits.size else b"",
                _says_its_end(response.headers),
            )
        except (HTTPError, OSError) as error:
            raise _translate_error(error, read) from None
        finally:
            response.close()

    def _open_response(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
    ) -> BaseHTTPResponse:
        """Return the response with its headers read; its body has not been."""
        parts = split_url(url)
        if self._proxied and self._rules != EVERYWHERE:
            self._check_target(parts.hostname or "")
        return self._pools.urlopen(
            method,
            url,
            body=body,
            headers={"User-Agent": "canary", **headers},
            redirect=False,
            preload_content=False,
            timeout=timeout,
        )

    def close(self) -> None:
        """Close idle connections."""
        self._pools.clear()

    def _check_target(self, host: str) -> None:
        """Check the addresses of a name; a name that only the proxy can resolve is allowed."""
        with suppress(socket.gaierror, UnicodeError):
            for *_, place in self._resolve(host, None, type=socket.SOCK_STREAM):
                self._rules.check(str(place[0]))


def _build_proxy_pool(proxy: Proxy, settings: Mapping[str, Any]) -> ProxyManager:
    try:
        url, credentials = split_credentials(proxy.url)
        split_url(url)
        headers = {"Proxy-" + name: value for name, value in credentials.items()}
        return ProxyManager(url, proxy_headers={**headers, **proxy.headers}, **settings)
    except (ValueError, HTTPError):
        raise BadAddressError("the address of the proxy is not a URL") from None


def _says_its_end(headers: HTTPHeaderDict) -> bool:
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def _read_body(response: Any, limits: Limits) -> bytes:  # noqa: ANN401  # BaseHTTPResponse has no read1
    """Read the body within the limits. Raises HttpError."""
    deadline = time.monotonic() + limits.whole
    body = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > limits.size:
            raise TooLargeError(f"the response is larger than {limits.size:,} bytes")
        if time.monotonic() > deadline:
            raise AnswerTimeoutError(f"the response was not complete after {limits.whole:g} s")
    return bytes(body)


_KINDS: Final[tuple[tuple[type[Exception], type[HttpError], str], ...]] = (
    (http_errors.SSLError, TlsError, "TLS failed: a certificate was not accepted"),
    (http_errors.ProxyError, ProxyRefusedError, "the proxy refused the connection"),
    (http_errors.NameResolutionError, HostUnreachableError, "its name cannot be resolved"),
    (http_errors.NewConnectionError, HostUnreachableError, "it cannot be reached"),
    (http_errors.ConnectTimeoutError, ConnectTimeoutError, "no connection in time"),
    (http_errors.TimeoutError, AnswerTimeoutError, "no answer within {read:g} s"),
)
_BROKEN_OFF: Final = "it cannot be reached, or the connection broke off"


def _translate_error(error: Exception, read: float) -> CanaryError:
    """Return an error whose message contains no part of the address or response."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, ValueError) and not isinstance(error, HTTPError):
        return BadAddressError("the address is invalid")
    if isinstance(error, http_errors.LocationValueError):
        return BadAddressError("requests to this kind of address are not supported")
    found = ((ours, words) for kind, ours, words in _KINDS if isinstance(error, kind))
    kind, words = next(found, (BrokenOffError, _BROKEN_OFF))
    problem = kind(words.format(read=read))
    problem.cause = _root_cause(error)
    return problem


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason, such as "Connection refused"."""
    while (inner := _find_wrapped_error(error)) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _find_wrapped_error(error: BaseException) -> BaseException | None:
    wrapped = (getattr(error, "reason", None), *error.args[::-1], error.__cause__)
    return next((one for one in wrapped if isinstance(one, BaseException)), None)


def default_context() -> ssl.SSLContext:
    """Return a context that trusts the usual authorities, or those of $REQUESTS_CA_BUNDLE."""
    return ssl.create_default_context(
        cafile=os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()
    )


class _Guarded:
    """Common part of both connection classes: connect to a checked address within the deadline."""

    rules: AddressRules | None
    resolve: Resolve

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        if self.rules is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        try:
            found = self.resolve(
                connection._dns_host,  # noqa: SLF001  # `host` has lost its last dot
                connection.port,
                type=socket.SOCK_STREAM,
            )
        except (socket.gaierror, UnicodeError) as error:
            raise http_errors.NameResolutionError(connection.host, connection, error) from error  # type: ignore[arg-type]
        for *_, place in found:
            self.rules.check(str(place[0]))
        return _connect_to_first(connection, found)

    def getresponse(self) -> HTTPResponse:
        """Return the response as in urllib3, but close the connection at the header's deadline."""
        left = max(_ends.get() - time.monotonic(), 0.01)
        late = threading.Event()
        timer = threading.Timer(left, _cut_connection, (self.sock, late))  # type: ignore[attr-defined]
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()  # type: ignore[misc,no-any-return]
        except (OSError, HTTPException) as error:
            if late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()


def _connect_to_first(connection: Any, found: list[Any]) -> socket.socket:  # noqa: ANN401  # urllib3's
    """Connect to the first address that answers, all within one timeout."""
    deadline = time.monotonic() + connection.timeout
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, place in found:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(max(deadline - time.monotonic(), 0.01))
            for option in connection.socket_options or ():
                opened.setsockopt(*option)
            opened.connect(place)
        except OSError as error:
            opened.close()
            problem = error
        else:
            return opened
    if isinstance(problem, TimeoutError):
        raise http_errors.ConnectTimeoutError(
            connection, "no connection within the time limit"
        ) from problem
    raise http_errors.NewConnectionError(connection, "it cannot be reached") from problem


def _build_http_pool(rules: AddressRules | None, resolve: Resolve) -> type[HTTPConnectionPool]:
    class Connection(_Guarded, HTTPConnection):  # type: ignore[misc]
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    Connection.rules, Connection.resolve = rules, staticmethod(resolve)
    return Pool


def _build_https_pool(rules: AddressRules | None, resolve: Resolve) -> type[HTTPSConnectionPool]:
    class Connection(_Guarded, HTTPSConnection):  # type: ignore[misc]
        pass

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

        def _validate_conn(self, conn: Any) -> None:  # noqa: ANN401  # urllib3's
            """As in urllib3, without its warning where the administrator skips verification."""
            if conn.is_closed:
                conn.connect()

    Connection.rules, Connection.resolve = rules, staticmethod(resolve)
    return Pool


def _cut_connection(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # past TLS, which another thread is using
