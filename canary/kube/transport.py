"""The only importer of `kubernetes`: its configuration, authentication and HTTP, nothing else.

Its typed models drop fields, its retries repeat a hung GET three times and it has no time-outs,
so requests are raw, sent once, each with a time-out; urllib3's errors end here.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, incluster_config
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3 import HTTPResponse
from urllib3 import exceptions as http_errors

from canary import __version__
from canary.errors import CanaryError, PermanentError, UsageError
from canary.kube.api_errors import (
    ApiOperation,
    ApiResponse,
    ResponseLostError,
    UnauthorizedError,
    UnreachableError,
)

_POOL_NAME: Final = re.compile(r"HTTPS?Connection(Pool)?\([^)]*\): ")
_LOAD_POD: Final[Callable[..., None]] = kubernetes_config.load_incluster_config
_LOAD_FILE: Final[Callable[..., None]] = kubernetes_config.load_kube_config
POOL_SIZE: Final = 64
"""Connections: 32 workers, one per watch, and some."""
_CHUNK: Final = 1 << 16
_BODY_SECONDS: Final = 60.0
"""An answer that is not complete by then has trickled, however short the pauses."""


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """Seconds until connected, and between two pieces of the answer."""

    connect: float = 3.0
    read: float = 10.0


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request to the API server."""

    method: str
    path: str
    """Quoted already."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


class RequestObserver(Protocol):
    """Is told of every request, for the `rest_client_*` metrics."""

    def requested(self, method: str, host: str, code: str, seconds: float) -> None:
        """`code` is the HTTP status, or `<error>` without one, as in client-go."""
        ...

    def used(self, verb: str, group: str, resource: str) -> None:
        """A right, as RBAC names it, is about to be used."""
        ...


class Transport:
    """Sends requests with the credentials of the day. Thread-safe.

    `connect` reads the configuration anew: called once now, and again by `renew`.
    """

    def __init__(
        self,
        connect: Callable[[], kubernetes_client.ApiClient],
        observer: RequestObserver | None = None,
    ) -> None:
        self._connect = connect
        self._observer = observer
        self._api = connect()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    def send(
        self, request: ApiRequest, timeouts: RequestTimeouts, deed: ApiOperation | None = None
    ) -> ApiResponse:
        """The whole answer, whatever its status. Raises UnreachableError, LostError."""
        self._note(deed)
        return self._whole(self._open(request, timeouts))

    def stream(
        self, request: ApiRequest, timeouts: RequestTimeouts, deed: ApiOperation | None = None
    ) -> "ApiResponse | ResponseStream":
        """The running answer; an ApiResponse when the status is not 200."""
        self._note(deed)
        response = self._open(request, timeouts)
        if response.status == HTTPStatus.OK:
            return ResponseStream(response, self.host)
        return self._whole(response)

    def renew(self) -> None:
        """Reads credentials and certificates again, refused ones. Raises UnauthorizedError."""
        try:
            fresh = self._connect()
        except Exception as error:
            reason = _describe_error(error)
            raise UnauthorizedError(f"cannot read the credentials again: {reason}") from error
        with self._lock:
            self._api, old = fresh, self._api
        _close_pool(old)

    def close(self) -> None:
        """Lets the idle connections go."""
        _close_pool(self._api)

    def _whole(self, response: HTTPResponse) -> ApiResponse:
        try:
            return ApiResponse(response.status, response.headers, _read_body(response))
        except (http_errors.HTTPError, OSError) as error:
            raise ResponseLostError(f"the answer of {self.host} broke off: {error}") from error
        finally:
            response.close()  # read to its end, its connection is back in the pool already

    def _note(self, deed: ApiOperation | None) -> None:
        if self._observer is not None and deed is not None:
            self._observer.used(deed.verb, deed.kind.group, deed.resource)

    def _open(self, request: ApiRequest, timeouts: RequestTimeouts) -> HTTPResponse:
        began = time.monotonic()
        code = "<error>"
        try:
            response = self._call(request, timeouts)
            code = str(response.status)
        finally:
            if self._observer is not None:
                seconds = time.monotonic() - began
                self._observer.requested(request.method, self.host, code, seconds)
        return response

    def _call(self, request: ApiRequest, timeouts: RequestTimeouts) -> HTTPResponse:
        try:
            with self._lock:  # a token that has run out is renewed by one thread
                api = self._api
                method, url, headers, _, _ = api.param_serialize(
                    request.method,
                    request.path,
                    query_params=list(request.query.items()),
                    header_params={
                        "Accept": "application/json",
                        "Content-Type": request.content_type,
                    },
                    auth_settings=["BearerToken"],
                )
            limits = (timeouts.connect, timeouts.read)
            answer = api.call_api(method, url, headers, request.body, _request_timeout=limits)
        except (http_errors.HTTPError, OSError, ApiException) as error:
            raise self._unanswered(error) from error
        except ConfigException as error:
            raise UnreachableError(f"cannot read the credentials: {error}") from error
        response: HTTPResponse = answer.response
        return response

    def _unanswered(self, error: Exception) -> CanaryError:
        text = f"cannot reach the API server at {self.host}: {_describe_error(error)}"
        match error:
            case ApiException() if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return PermanentError(f"{text} (is the certificate authority the right one?)")
            case http_errors.NewConnectionError() | http_errors.ConnectTimeoutError():
                return UnreachableError(text)
            case http_errors.ProxyError():
                return UnreachableError(text)
            case _:
                return ResponseLostError(text)


class ResponseStream:
    """The lines of an answer that goes on, such as a watch."""

    def __init__(self, response: HTTPResponse, host: str) -> None:
        self._response = response
        self._host = host
        self._interrupted = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield whole lines. Raises ResponseLostError for a lost connection."""
        buffer = bytearray()
        try:
            while chunk := self._response.read1(_CHUNK):
                buffer += chunk
                *lines, rest = buffer.split(b"\n") if b"\n" in chunk else (buffer,)
                yield from (bytes(line) for line in lines if line)
                buffer = bytearray(rest)
        except (http_errors.HTTPError, OSError, ValueError, AttributeError) as error:
            if not self._interrupted:  # another thread closes the socket under our hands
                raise ResponseLostError(f"the watch on {self._host} broke off: {error}") from error
        finally:
            self._response.close()

    def interrupt(self) -> None:
        """Ends the iteration, from another thread."""
        self._interrupted = True
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            self._response.close()


def load_transport(
    kubeconfig: str | None = None,
    context: str | None = None,
    observer: RequestObserver | None = None,
) -> Transport:
    """A transport to the cluster of the kubeconfig file, or of the pod that we run in.

    Without `kubeconfig` and `context` a pod's service account is used where there is one, else
    `$KUBECONFIG` or `~/.kube/config`. Raises UsageError when there is no usable configuration.
    """
    try:
        return Transport(lambda: _create_client(kubeconfig, context), observer)
    except Exception as error:  # what is wrong in the file comes as almost any class
        raise UsageError(
            f"there is no usable configuration for a cluster: {_describe_error(error)}. "
            "Set KUBECONFIG or --kubeconfig, or run in a pod with a service account"
        ) from error


def _create_client(kubeconfig: str | None, context: str | None) -> kubernetes_client.ApiClient:
    settings = kubernetes_client.Configuration()
    in_pod = Path(incluster_config.SERVICE_TOKEN_FILENAME).exists()
    if in_pod and kubeconfig is None and context is None:
        _LOAD_POD(settings)
    else:
        _LOAD_FILE(kubeconfig, context, settings, persist_config=False)
    if not settings.host.startswith(("http://", "https://")):
        raise ConfigException(f"a server's address https://… is expected, found {settings.host!r}")
    return configure_client(settings)


def configure_client(settings: kubernetes_client.Configuration) -> kubernetes_client.ApiClient:
    """A client with our pool, keep-alive, user agent, and no retries of its own."""
    settings.retries = False
    settings.connection_pool_maxsize = POOL_SIZE
    settings.socket_options = tcp_keepalive_socket_options(idle=15, interval=5, count=3)
    api = kubernetes_client.ApiClient(settings)
    api.user_agent = f"canary/{__version__}"
    return api


def _close_pool(api: kubernetes_client.ApiClient) -> None:
    close: Callable[[], None] = api.close
    close()


def _read_body(response: HTTPResponse) -> bytes:
    end = time.monotonic() + _BODY_SECONDS
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if time.monotonic() > end:
            raise TimeoutError(f"the answer was not complete after {_BODY_SECONDS:g} s")
    return bytes(body)


def _describe_error(error: Exception) -> str:
    """One line, without the representation of urllib3's pool in front."""
    reason = error.reason if isinstance(error, ApiException) else error
    if isinstance(reason, http_errors.ProtocolError) and len(reason.args) > 1:
        reason = reason.args[1]  # the first is "Connection aborted."
    return _POOL_NAME.sub("", " ".join(str(reason).split())).rstrip(".")
