"""`Notifier` that sends messages to the receivers of each release and of the operator."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from canary.api import Reason
from canary.api.notify import Notify
from canary.interfaces import Clock, Key, Notice, Notifier
from canary.kube.timing import Stopper, Timing
from canary.notify.config import NotifyFile, OperatorReceiver
from canary.notify.delivery_queue import DeliveryQueue, DeliveryTask
from canary.notify.events import EventKind, Incident, ReleaseEvent, event_from_notice
from canary.notify.formatters import Payload, format_message, select_message
from canary.notify.message import Message
from canary.notify.metrics import NotificationMetrics
from canary.notify.secrets import SecretReader
from canary.notify.sender import DeliveryError

ATTEMPTS = 3
"""Immediate attempts; after them the receiver's queue backs off."""
MAX_RETRY_WAIT = 10.0
"""Longest `Retry-After` in seconds that a thread waits for."""
SHUTDOWN_SECONDS = 5.0
"""Seconds for waiting tasks at shutdown."""
_REMEMBERED = 10_000
_INTAKE_QUEUE = ""
_jitter = wait_random_exponential(multiplier=0.5, max=4.0)

WarnOwners = Callable[[Key, Reason, str], None]
"""Creates an Event that the owners of the release see."""
SendPayload = Callable[[Payload, float], None]
"""Sends one payload; the float is the time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One receiver with its queue and the reader of its secret."""

    entry: Notify
    queue: str
    name: str
    secrets: SecretReader
    outbox: DeliveryQueue


class NotificationDispatcher:
    """See `Notifier`. The operator's receivers have threads of their own, which no release delays.

    Remembers sent events by release, version and reason, so that the end of a rollback is not sent
    again after its start. After a restart an event may be sent twice.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # each is one thing that a test replaces
        self,
        file: NotifyFile,
        mounted: SecretReader,
        cluster: SecretReader,
        send: SendPayload,
        counts: NotificationMetrics,
        warn: WarnOwners,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._file, self._links = file, file.pages()
        self._mounted, self._cluster = mounted, cluster
        self._send = send
        self._counts = counts
        self._warn = warn
        self._clock = clock
        self._timing = timing
        self._stopper = Stopper(timing)
        self._wide = DeliveryQueue(timing, counts, workers=1 + len(file.receivers))
        self._own = DeliveryQueue(timing, counts)
        self._told: OrderedDict[str, Incident | None] = OrderedDict()
        counts.follow(lambda: float(len(self._wide) + len(self._own)))

    def notify(self, notice: Notice) -> None:
        """Queue the notice; another thread selects the receivers."""
        about = f"{notice.key.namespace}/{notice.key.name}: {notice.reason}"
        self._wide.put(
            DeliveryTask(_INTAKE_QUEUE, "", about, True, lambda: self._select_recipients(notice))
        )

    def close(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Send waiting notifications for at most this many seconds."""
        end = self._timing.now() + seconds
        self._stopper.stop()
        self._wide.close(seconds)
        self._own.close(max(end - self._timing.now(), 0.0))

    def _select_recipients(self, notice: Notice) -> None:
        event = event_from_notice(notice)
        if event is None:
            return
        fresh = self._is_new(event)
        for address in self._list_recipients(event):
            message = select_message(address.entry, event, self._links, fresh=fresh)
            if message is not None:
                address.outbox.put(self._build_task(address, message))

    def _is_new(self, event: ReleaseEvent) -> bool:
        """Return whether the event is new; a resolved incident may occur again."""
        for known in [key for key, one in self._told.items() if one in event.resolved]:
            del self._told[known]
        fresh = event.id not in self._told
        self._told[event.id] = event.incident
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        if not fresh:
            self._counts.repeated()
        return fresh

    def _list_recipients(self, event: ReleaseEvent) -> Iterator[Recipient]:
        for route in self._file.receivers:
            if not route.namespaces or event.key.namespace in route.namespaces:
                yield self._of_operator(route)
        for entry in event.spec.notify:
            queue = f"{event.key.namespace}/{entry.receiver.model_dump_json()}"
            yield Recipient(entry, f"{entry.kind}/{queue}", entry.kind, self._cluster, self._own)

    def _of_operator(self, route: OperatorReceiver) -> Recipient:
        return Recipient(route, route.name, route.name, self._mounted, self._wide)

    def _build_task(self, address: Recipient, message: Message) -> DeliveryTask:
        event = message.event
        about = f"{event.key.namespace}/{event.key.name}: {event.reason}"
        urgent = event.kind in {EventKind.ROLLBACK, EventKind.STUCK} or bool(message.resolved)
        queue = f"receiver {address.queue}"

        def failed(why: str) -> None:
            words = f"delivery to {address.name} of {event.reason} failed: {why}"
            self._warn(event.key, Reason.NOTIFICATION_FAILED, words)

        run = partial(self._deliver_message, address, message)
        owner = event.key.namespace if address.outbox is self._own else ""
        return DeliveryTask(queue, address.name, about, urgent, run, failed, owner)

    def _deliver_message(self, address: Recipient, message: Message) -> None:
        """Deliver one message. Raises TransientError, PermanentError."""
        entry, event, now = address.entry, message.event, self._clock.now
        ref = entry.secret
        secret = "" if ref is None else address.secrets.read(event.key.namespace, ref)
        for index in range(len(format_message(message, entry, secret, now()))):
            self._build_retrying(address.name)(self._send_payload, entry, message, secret, index)
        self._counts.delivered(address.name, now() - event.at)

    def _send_payload(self, entry: Notify, message: Message, secret: str, index: int) -> None:
        """Send one payload.

        It is formatted for each attempt, because signatures contain the time.
        """
        now = self._clock.now()
        self._send(format_message(message, entry, secret, now)[index], now)

    def _build_retrying(self, receiver: str) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_retry_wait,
            retry=retry_if_exception(self._retries_soon),
            before_sleep=lambda _: self._counts.retried(receiver),
            sleep=self._sleep_seconds,
            reraise=True,
        )

    def _sleep_seconds(self, seconds: float) -> None:
        self._stopper.sleep(seconds)

    def _retries_soon(self, error: BaseException) -> bool:
        if self._stopper.stopped or not isinstance(error, DeliveryError):
            return False
        return error.retry_after <= MAX_RETRY_WAIT


def _retry_wait(state: RetryCallState) -> float:
    """Return the seconds to wait: the receiver's Retry-After plus jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, DeliveryError) else 0.0
    return asked + float(_jitter(state))


class FanOutNotifier:
    """A Notifier that forwards to several."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    def notify(self, notice: Notice) -> None:
        """Forward to each notifier."""
        for one in self._notifiers:
            one.notify(notice)
