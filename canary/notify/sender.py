"""Sends one request or Apprise message. Nothing that it raises or logs holds the address.

The address of a chat's webhook is its password. So the client's errors, which repeat nothing of it,
end here without a trace, and the libraries' own log lines are kept back while something is sent.
"""

import contextlib
import logging
from base64 import b64encode
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from canary import __version__
from canary.errors import PermanentError, TransientError
from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits
from canary.notify.formatters import Parcel
from canary.notify.message import Dispatch, Post

LONGEST_PAUSE = 300.0
"""Seconds; a receiver that asks for more is tried after that."""
_PAUSE = 1.0
_sending: ContextVar[bool] = ContextVar("sending", default=False)
_CHATTY = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "requests",
    "apprise",
)


class DeliveryError(TransientError):
    """Not delivered this time: worth another try, not before `retry_after` seconds."""


class RefusedError(PermanentError):
    """The receiver does not take it, and will not take it the next time."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a connection, between two bytes of an answer, and for its whole header."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 20.0


class Quiet(logging.Filter):
    """Keeps back what a library says in the middle of sending: it may name the address."""

    def filter(self, _record: logging.LogRecord) -> bool:
        """Only what has nothing to do with us."""
        return not _sending.get()


_quiet = Quiet()


class Sender:
    """Sends what receivers are sent, over HTTP or by Apprise."""

    def __init__(
        self, rules: AddressRules, timeouts: Timeouts | None = None, proxy: str | None = None
    ) -> None:
        """`rules` say to which addresses; `proxy` decides that itself, if there is one."""
        limits = timeouts or Timeouts()
        self._client = HttpClient(
            rules, Limits(limits.connect, limits.read, limits.whole), proxy=proxy
        )
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_quiet)

    def send(self, parcel: Parcel, now: float) -> None:
        """Delivers it; `now` in seconds since the epoch. Raises DeliveryError, RefusedError."""
        with _quietly():
            if isinstance(parcel, Dispatch):
                _dispatch(parcel)
            else:
                self._post(parcel, now)

    def _post(self, post: Post, now: float) -> None:
        try:
            url, headers = _own_credentials(post.url)
            agent = {"User-Agent": f"canary/{__version__}"}
            answer = self._client.send("POST", url, {**agent, **headers, **post.headers}, post.body)
        except ValueError:
            raise RefusedError("nothing can be sent to such an address") from None
        except TransientError as error:
            raise DeliveryError(str(error)) from None
        except PermanentError as error:
            raise RefusedError(str(error)) from None
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(answer.status, answer.headers.get("Retry-After"), now)


def _own_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The address without its credentials, and the header that has them. Raises ValueError."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return bare.geturl(), {"Authorization": f"Basic {b64encode(pair).decode()}"}


def refusal(status: int, retry_after: str | None, now: float) -> DeliveryError | RefusedError:
    """An answer other than 2xx as what to do next; nothing of its body is repeated."""
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return DeliveryError(f"HTTP {status}", retry_after=_pause(retry_after, now))
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return DeliveryError(f"HTTP {status}", retry_after=_PAUSE)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return RefusedError(
            f"HTTP {status}: it sends us to another address, and what is secret is not sent there; "
            "the Secret should hold the final address"
        )
    gone = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    hint = ": is what the Secret holds still valid?" if status in gone else ""
    return RefusedError(f"HTTP {status}{hint}")


def _pause(retry_after: str | None, now: float) -> float:
    """Seconds: a number of them or a date, as RFC 9110 has it."""
    seconds = _PAUSE
    if retry_after is not None:
        try:
            seconds = float(retry_after)
        except ValueError:
            with contextlib.suppress(ValueError):
                seconds = parsedate_to_datetime(retry_after).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_PAUSE) if seconds == seconds else _PAUSE  # noqa: PLR0124  # not NaN


def _dispatch(parcel: Dispatch) -> None:
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ImportError:
        raise RefusedError(
            "Apprise is not installed: pip install 'canary-controller[apprise]'"
        ) from None
    asset = apprise.AppriseAsset(
        app_id="canary", async_mode=False, secure_logging=True, http_redirects=False
    )
    receiver = apprise.Apprise(asset=asset)
    if not receiver.add(parcel.url):
        raise RefusedError("Apprise does not understand the address that its Secret holds")
    tone = apprise.NotifyType(parcel.tone)
    if not receiver.notify(parcel.body, title=parcel.title, notify_type=tone):
        raise DeliveryError("Apprise could not deliver it")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)
