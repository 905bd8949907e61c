"""HTTP transport to the API server; the only module that imports `kubernetes`.

Of that library it uses configuration, authentication and HTTP. Its typed models drop fields, its
retries repeat a hung GET three times, and it has no time-outs; so requests are raw, sent once, and
have a time-out each. Errors of urllib3 are translated here.
"""

import json
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
from urllib3 import BaseHTTPResponse, Timeout
from urllib3 import exceptions as http_errors

from canary import __version__
from canary.errors import CanaryError, PermanentError, UsageError, drop_frames
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
"""Maximum number of connections: 32 workers, one per watch, and a reserve."""
_CHUNK: Final = 1 << 16
_ESCAPES: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
_BODY_SECONDS: Final = 60.0
"""Time limit in seconds of a whole response; the read time-out only limits single pauses."""
MAX_BYTES: Final = 256 << 20
"""Maximum size of a whole response: a list of about 50,000 objects."""


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """Time-outs in seconds: to connect, and between two pieces of the response."""

    connect: float = 3.0
    read: float = 10.0


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request to the API server."""

    method: str
    path: str
    """URL path, already quoted."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


class RequestObserver(Protocol):
    """Receives every request, for the `rest_client_*` metrics."""

    def requested(self, method: str, host: str, code: str, seconds: float) -> None:
        """A request ended; `code` is the HTTP status or, without one, `<error>` as in client-go."""
        ...

    def used(self, verb: str, group: str, resource: str) -> None:
        """A request is about to be sent that needs this right, as RBAC names it."""
        ...


class Transport:
    """Sends requests with current credentials. Thread-safe.

    `connect` reads the configuration; it is called once now, and again by `renew`.
    """

    def __init__(
        self,
        connect: Callable[[], kubernetes_client.ApiClient],
        observer: RequestObserver | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._connect = connect
        self._max_bytes = max_bytes
        self._observer = observer
        self._api = connect()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    def send(
        self, request: ApiRequest, timeouts: RequestTimeouts, operation: ApiOperation | None = None
    ) -> ApiResponse:
        """Return the whole response, of any status. Raises UnreachableError, ResponseLostError."""
        self._count_right(operation)
        return self._read_response(self._open_response(request, timeouts))

    def stream(
        self, request: ApiRequest, timeouts: RequestTimeouts, operation: ApiOperation | None = None
    ) -> "ApiResponse | ResponseStream":
        """Return the streaming response; an ApiResponse when the status is not 200."""
        self._count_right(operation)
        response = self._open_response(request, timeouts)
        if response.status == HTTPStatus.OK:
            return ResponseStream(response, self.host)
        return self._read_response(response)

    def renew(self) -> None:
        """Read credentials and certificates again, after a 401. Raises UnauthorizedError."""
        try:
            fresh = self._connect()
        except Exception as error:
            reason = _describe_error(error)
            raise UnauthorizedError(f"cannot read the credentials again: {reason}") from error
        with self._lock:
            self._api, old = fresh, self._api
        _close_pool(old)

    def close(self) -> None:
        """Close the idle connections."""
        _close_pool(self._api)

    def _read_response(self, response: BaseHTTPResponse) -> ApiResponse:
        try:
            return ApiResponse(
                response.status, response.headers, _read_body(response, self._max_bytes)
            )
        except (http_errors.HTTPError, OSError) as error:
            raise ResponseLostError(
                f"the response of {self.host} was interrupted: {error}"
            ) from error
        finally:
            response.close()  # no effect after the last byte: the connection is in the pool again

    def _count_right(self, operation: ApiOperation | None) -> None:
        if self._observer is not None and operation is not None:
            self._observer.used(operation.verb, operation.kind.group, operation.resource)

    def _open_response(self, request: ApiRequest, timeouts: RequestTimeouts) -> BaseHTTPResponse:
        began = time.monotonic()
        code = "<error>"
        try:
            response = self._send_request(request, timeouts)
            code = str(response.status)
        finally:
            if self._observer is not None:
                seconds = time.monotonic() - began
                self._observer.requested(request.method, self.host, code, seconds)
        return response

    def _send_request(self, request: ApiRequest, timeouts: RequestTimeouts) -> BaseHTTPResponse:
        try:
            with self._lock:  # one thread refreshes an expired token
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
            # Not api.call_api: it writes JSON its own way, see encode_json.
            answer: BaseHTTPResponse = api.rest_client.pool_manager.request(
                method,
                url,
                body=None if request.body is None else encode_json(request.body),
                headers=headers,
                timeout=Timeout(connect=timeouts.connect, read=timeouts.read),
                preload_content=False,
            )
        except (http_errors.HTTPError, OSError, ApiException) as error:
            raise self._translate_error(error) from drop_frames(error)
        except ConfigException as error:
            raise UnreachableError(f"cannot read the credentials: {error}") from error
        return answer

    def _translate_error(self, error: Exception) -> CanaryError:
        text = f"cannot reach the API server at {self.host}: {_describe_error(error)}"
        match error:
            case http_errors.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return PermanentError(f"{text} (is this the right certificate authority?)")
            case http_errors.NewConnectionError() | http_errors.ConnectTimeoutError():
                return UnreachableError(text)
            case http_errors.ProxyError():
                return UnreachableError(text)
            case _:
                return ResponseLostError(text)


class ResponseStream:
    """The lines of a streaming response, such as a watch."""

    def __init__(self, response: BaseHTTPResponse, host: str) -> None:
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
            if not self._interrupted:  # `interrupt` closes the socket during the read
                raise ResponseLostError(
                    f"the watch on {self._host} was interrupted: {error}"
                ) from error
        finally:
            self._response.close()

    def interrupt(self) -> None:
        """End the iteration; called from another thread."""
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
    """Return a transport to the cluster of a kubeconfig file, or of the pod of this process.

    Without `kubeconfig` and `context` it uses the pod's service account where there is one, else
    `$KUBECONFIG` or `~/.kube/config`. Raises UsageError when there is no usable configuration.
    """
    try:
        return Transport(lambda: _create_client(kubeconfig, context), observer)
    except Exception as error:  # an invalid file raises almost any class
        raise UsageError(
            f"cannot load a configuration for a cluster: {_describe_error(error)}. "
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
        raise ConfigException(f"expected a server's address https://…, found {settings.host!r}")
    return configure_client(settings)


def configure_client(settings: kubernetes_client.Configuration) -> kubernetes_client.ApiClient:
    """Return a client with this project's pool size, keep-alive and user agent, without retries."""
    settings.retries = False
    settings.connection_pool_maxsize = POOL_SIZE
    settings.socket_options = tcp_keepalive_socket_options(idle=15, interval=5, count=3)
    api = kubernetes_client.ApiClient(settings)
    api.user_agent = f"canary/{__version__}"
    return api


def encode_json(body: object) -> bytes:
    r"""Encode a body as the API server encodes its objects.

    A `test` of a JSON Patch compares texts as they are encoded, not the values: `"a && b"` and
    `"a \u0026\u0026 b"` differ. Go escapes <, > and & and nothing beyond ASCII; Python does the
    opposite. Unpaired surrogates, which UTF-8 cannot hold, become question marks.
    """
    text = json.dumps(body, ensure_ascii=False).translate(_ESCAPES)
    return text.encode("utf-8", "replace")


def _close_pool(api: kubernetes_client.ApiClient) -> None:
    close: Callable[[], None] = api.close
    close()


def _read_body(response: BaseHTTPResponse, limit: int) -> bytes:
    """Read the body. Raises PermanentError if it is larger than `limit` bytes."""
    end = time.monotonic() + _BODY_SECONDS
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise PermanentError(
                f"expected a response of at most {limit:,} bytes from the API server, found more"
            )
        if time.monotonic() > end:
            raise TimeoutError(f"the response was not complete after {_BODY_SECONDS:g} s")
    return bytes(body)


def _describe_error(error: Exception) -> str:
    """Describe an error in one line, without the prefix that names urllib3's pool."""
    reason = error.reason if isinstance(error, ApiException) else error
    if isinstance(reason, http_errors.ProtocolError) and len(reason.args) > 1:
        reason = reason.args[1]  # the first is "Connection aborted."
    return _POOL_NAME.sub("", " ".join(str(reason).split())).rstrip(".")
