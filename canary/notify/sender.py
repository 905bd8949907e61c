"""Sends one HTTP request, or starts Apprise for one message. No error or log has the address.

The address of a chat's webhook is a credential. Errors are raised without their cause, and log
lines of the libraries are suppressed during a delivery.
"""

import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from canary import __version__
from canary.errors import PermanentError, TransientError, install_command
from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits, Proxy
from canary.http.urls import split_credentials
from canary.notify import apprise_process
from canary.notify.formatters import Payload
from canary.notify.message import ApprisePayload, HttpPayload

MAX_RETRY_AFTER = 300.0
"""Upper bound of `Retry-After` in seconds."""
_PAUSE = 1.0
_sending: ContextVar[bool] = ContextVar("sending", default=False)
_CHATTY = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "requests",
)
_APPRISE_SLOTS = 2
"""Processes of Apprise at the same time; each takes about 45 MiB."""
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "TZ", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that such a process gets."""


class DeliveryError(TransientError):
    """The delivery failed and may be retried after `retry_after` seconds."""


class RefusedDeliveryError(PermanentError):
    """The receiver rejected the delivery, and a retry would not help."""


@dataclass(frozen=True, slots=True)
class DeliveryTimeouts:
    """Seconds for connecting, between two bytes of a response, and for its whole header."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 20.0


class SendingFilter(logging.Filter):
    """Drops log records of libraries during a delivery, as they may contain the address."""

    def filter(self, _record: logging.LogRecord) -> bool:
        """Keep records outside of a delivery."""
        return not _sending.get()


_quiet = SendingFilter()


class PayloadSender:
    """Sends payloads over HTTP or with Apprise."""

    def __init__(
        self,
        rules: AddressRules,
        timeouts: DeliveryTimeouts | None = None,
        proxy: str | None = None,
    ) -> None:
        """`rules` restrict the addresses, also behind a `proxy` as far as names resolve here."""
        limits = timeouts or DeliveryTimeouts()
        self._client = HttpClient(
            rules,
            Limits(limits.connect, limits.read, limits.whole),
            proxy=Proxy(proxy) if proxy else None,
        )
        self._rules, self._seconds = rules, limits.whole
        self._apprise_slots = threading.BoundedSemaphore(_APPRISE_SLOTS)
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_quiet)

    def send(self, payload: Payload, now: float) -> None:
        """Deliver the payload; `now` in seconds since the epoch.

        Raises DeliveryError, RefusedDeliveryError.
        """
        with _suppress_logs():
            if isinstance(payload, ApprisePayload):
                with self._apprise_slots:
                    _send_apprise(payload, self._rules, self._seconds)
            else:
                self._post_payload(payload, now)

    def _post_payload(self, post: HttpPayload, now: float) -> None:
        try:
            url, headers = split_credentials(post.url)
            agent = {"User-Agent": f"canary/{__version__}"}
            answer = self._client.send("POST", url, {**agent, **headers, **post.headers}, post.body)
        except ValueError:
            raise RefusedDeliveryError("the address is not a valid URL") from None
        except TransientError as error:
            raise DeliveryError(str(error)) from None
        except PermanentError as error:
            raise RefusedDeliveryError(str(error)) from None
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise error_from_status(answer.status, answer.headers.get("Retry-After"), now)


def error_from_status(
    status: int, retry_after: str | None, now: float
) -> DeliveryError | RefusedDeliveryError:
    """Return the error for a response other than 2xx, without anything of its body."""
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return DeliveryError(f"HTTP {status}", retry_after=_retry_after_seconds(retry_after, now))
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return DeliveryError(f"HTTP {status}", retry_after=_PAUSE)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return RefusedDeliveryError(
            f"HTTP {status}: redirects are not followed, as they could leak the secret; put the "
            "final address into the Secret"
        )
    gone = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    hint = ": check that the content of the Secret is still valid" if status in gone else ""
    return RefusedDeliveryError(f"HTTP {status}{hint}")


def _retry_after_seconds(retry_after: str | None, now: float) -> float:
    """Parse Retry-After (RFC 9110), a number of seconds or a date; return seconds."""
    seconds = _PAUSE
    if retry_after is not None:
        try:
            seconds = float(retry_after)
        except ValueError:
            with contextlib.suppress(ValueError):
                seconds = parsedate_to_datetime(retry_after).timestamp() - now
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else _PAUSE  # noqa: PLR0124  # not NaN


def _send_apprise(payload: ApprisePayload, rules: AddressRules, seconds: float) -> None:
    """Deliver in a process that may connect to nothing but what the rules allow."""
    if importlib.util.find_spec("apprise") is None:
        raise RefusedDeliveryError(f"Apprise is not installed: {install_command('apprise')}")
    networks = {"refused": [*map(str, rules.refused)], "allowed": [*map(str, rules.allowed)]}
    command = [sys.executable, "-P", "-m", apprise_process.__name__]
    try:
        done = subprocess.run(  # noqa: S603  # a module of ours; the address is not in the arguments
            command,
            input=json.dumps(asdict(payload) | networks),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            timeout=seconds,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeliveryError(f"Apprise did not finish within {seconds:g} s") from None
    if done.returncode == apprise_process.UNKNOWN_ADDRESS:
        raise RefusedDeliveryError("Apprise does not recognize the address in the Secret")
    if done.returncode == apprise_process.FORBIDDEN:
        raise RefusedDeliveryError(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        raise DeliveryError("Apprise could not deliver the message")


@contextlib.contextmanager
def _suppress_logs() -> Iterator[None]:
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)
