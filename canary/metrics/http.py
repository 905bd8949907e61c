"""HTTP requests with limits on time and size, and credentials that rotate."""

import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

_CHUNK = 1 << 16


class BodyError(requests.RequestException):
    """A response that is too large or too slow."""


class TooLargeError(BodyError):
    """A response that is larger than the limit."""


class BrokenOffError(requests.ConnectionError):
    """A response that ended early."""


def root_cause(error: BaseException) -> str:
    """Return the root cause of an error of requests."""
    while (inner := _inside(error)) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _inside(error: BaseException) -> BaseException | None:
    """Return the wrapped error; errors of this module wrap none."""
    wrapped = (getattr(error, "reason", None), *error.args[::-1])
    if isinstance(error, HTTPError):
        wrapped = (*wrapped, error.__cause__)
    return next((one for one in wrapped if isinstance(one, BaseException)), None)


def read_body(response: requests.Response, limit: int, seconds: float) -> bytes:
    """Read the whole body of a streamed response.

    Raises TooLargeError above `limit` bytes (after decompression), BodyError if it takes longer
    than `seconds` in total, BrokenOffError if it ends early.
    """
    deadline = time.monotonic() + seconds
    body = bytearray()
    try:
        while chunk := _piece(response):
            body += chunk
            if len(body) > limit:
                raise TooLargeError(f"expected an answer of at most {limit:,} bytes, found more")
            if time.monotonic() > deadline:
                raise BodyError(f"the answer was incomplete after {seconds:g} s")
    finally:
        response.close()
    return bytes(body)


def _piece(response: requests.Response) -> bytes:
    try:
        piece: bytes = response.raw.read1(_CHUNK, decode_content=True)
    except (HTTPError, OSError) as error:
        raise BrokenOffError(f"the answer ended early: {root_cause(error)}") from error
    return piece


class PostingSession(requests.Session):
    """Moves a POST request's query into the body.

    prometheus-api-client sends it in the URL, and proxies truncate and log long URLs.
    """

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Send as requests does, after moving the parameters."""
        if request.method == "POST" and not request.data:
            request.data, request.params = request.params, {}
        return super().prepare_request(request)


class BoundedAdapter(HTTPAdapter):
    """Reads the whole answer within limits of time (`seconds`) and size (`limit` bytes)."""

    def __init__(self, limit: int, seconds: float, connections: int = 10) -> None:
        super().__init__(
            pool_connections=connections,
            pool_maxsize=connections,
            max_retries=Retry(0, redirect=False),
        )
        self._limit = limit
        self._seconds = seconds

    def send(  # noqa: PLR0913, PLR0917  # the signature is requests'
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002  # as above
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002  # as above
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send as requests does; also raises BodyError and BrokenOffError."""
        response = super().send(request, stream, timeout, verify, cert, proxies)
        response.raw = BytesIO(read_body(response, self._limit, self._seconds))
        return response


class Credentials(AuthBase):
    """Reads the token or password file for every request: mounted Secrets are rotated in place.

    Raises requests.RequestException, with the file's name, when it cannot be read.
    """

    def __init__(self, bearer: Path | None, user: str | None, password: Path | None) -> None:
        self._bearer = bearer
        self._user = user
        self._password = password

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the Authorization header; never use credentials of a .netrc file."""
        if self._bearer is not None:
            request.headers["Authorization"] = f"Bearer {_secret(self._bearer)}"
        elif self._user is not None:
            secret = _secret(self._password) if self._password is not None else ""
            HTTPBasicAuth(self._user.encode(), secret.encode())(request)
        return request


def _secret(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise requests.RequestException(
            f"cannot read the credentials in {path}: {error}"
        ) from error
    if not text or "\n" in text or "\r" in text:
        raise requests.RequestException(
            f"{path}: expected one secret on one line, found none or several lines"
        )
    return text
