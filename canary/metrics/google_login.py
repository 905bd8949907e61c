"""Access tokens of Google Cloud, for Managed Service for Prometheus.

google-auth, an extra, finds the credentials and signs the request for a token. The request is sent
by canary's own HTTP client, with its limits.
"""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canary.errors import CanaryError, UsageError
from canary.http.client import HttpClient
from canary.metrics.credentials import CredentialsError, SentRequest, stamp_of
from canary.metrics.http_config import GoogleIam

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/monitoring.read"
"""Reading metrics. Prometheus itself, which writes, asks for monitoring.write."""
_EXTRA = (
    "google_iam: expected the package google-auth, found none; install it with "
    "pip install 'canary-controller[google]'"
)


class GoogleLogin:
    """A token of a service account, of a workload identity, or of the machine."""

    def __init__(self, config: GoogleIam, connect: Callable[[str], HttpClient]) -> None:
        """`connect` returns a client for one request to a URL. Raises UsageError."""
        try:
            import google.auth  # noqa: F401, PLC0415 - an extra
        except ImportError as error:
            raise UsageError(_EXTRA) from error
        self._path: Path | None = config.credentials_file
        self._connect = connect
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._stamp: tuple[object, ...] = ()

    def headers(self, _request: SentRequest) -> Mapping[str, str]:
        """See Login; one thread fetches a token, the others wait for it."""
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        found: dict[str, str] = {}
        with self._lock:
            try:
                credentials = self._load()
                if not credentials.valid:
                    credentials.refresh(self._send)  # type: ignore[no-untyped-call]
            except (GoogleAuthError, ValueError, OSError) as error:
                raise CredentialsError(f"no token from Google: {_explain(error)}") from error
            credentials.apply(found)  # type: ignore[no-untyped-call]
        return found

    def refused(self) -> None:
        """See Login; the next request reads the credentials and fetches a token."""
        with self._lock:
            self._credentials = None

    def _load(self) -> "Credentials":
        """Return the credentials; those of a file are read again when it changes."""
        import google.auth  # noqa: PLC0415

        stamp = stamp_of([self._path] if self._path else [])
        if self._credentials is None or stamp != self._stamp:
            default: Any = google.auth.default
            self._credentials = (
                default(scopes=[SCOPE], request=self._send)[0]
                if self._path is None
                else load_credentials(self._path)
            )
            self._stamp = stamp
        return self._credentials

    def _send(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the client has limits of its own
        **_: object,
    ) -> "_Answer":
        """Send one request, as google-auth expects it. Raises TransportError."""
        from google.auth.exceptions import TransportError  # noqa: PLC0415

        data = body.encode() if isinstance(body, str) else body or b""
        try:
            with closing(self._connect(url)) as client:
                answer = client.send(method, url, dict(headers or {}), data)
        except CanaryError as error:
            raise TransportError(f"{url}: {error}") from error  # type: ignore[no-untyped-call]
        return _Answer(
            answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body
        )


def load_credentials(path: Path) -> "Credentials":
    """Return the credentials in a file. Raises CredentialsError.

    Kinds that run a program to get a token are not accepted.
    """
    from google.auth import identity_pool  # noqa: PLC0415
    from google.oauth2 import credentials, service_account  # noqa: PLC0415

    kinds: dict[object, Any] = {
        "service_account": service_account.Credentials.from_service_account_info,
        "external_account": identity_pool.Credentials.from_info,
        "authorized_user": credentials.Credentials.from_authorized_user_info,
    }
    try:
        info = json.loads(path.read_bytes())
        found: Credentials = kinds[info["type"]](info, scopes=[SCOPE])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        names = ", ".join(map(str, kinds))
        raise CredentialsError(
            f"{path}: expected credentials of Google Cloud in JSON, with a type of {names}, found "
            "none; create a key of a service account, or a file for workload identity federation"
        ) from error
    return found


class _Answer:
    """A response, as google-auth reads it."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data


def _explain(error: Exception) -> str:
    """Return the first argument, which is the message; the others may repeat an answer."""
    return str(error.args[0] if error.args else error)[:300]
