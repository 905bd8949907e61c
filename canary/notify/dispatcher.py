"""`Notifier` that tells people: by each release's own receivers, and by those of the operator."""

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
from canary.notify.config import NotifyFile, Route
from canary.notify.delivery_queue import Outbox, Task
from canary.notify.events import Incident, Kind, News, news_of
from canary.notify.formatters import Parcel, formed, letter_for
from canary.notify.message import Letter
from canary.notify.metrics import Counts
from canary.notify.secrets import Secrets
from canary.notify.sender import DeliveryError

ATTEMPTS = 3
"""At once; after that the receiver's lane rests."""
QUICK = 10.0
"""Seconds; a receiver that asks for a longer pause is not waited for by a thread."""
FLUSH = 5.0
"""Seconds for what still waits at the shutdown."""
_REMEMBERED = 10_000
_INTAKE = ""
_jitter = wait_random_exponential(multiplier=0.5, max=4.0)

Warn = Callable[[Key, Reason, str], None]
"""Says under a release what its owners have to see: an Event."""
Send = Callable[[Parcel, float], None]
"""Sends one parcel at a time (seconds since the epoch): canary.notify.sender.Sender."""


@dataclass(frozen=True, slots=True)
class Address:
    """One receiver: which lane its letters take, and who knows its secret."""

    entry: Notify
    lane: str
    name: str
    secrets: Secrets
    outbox: Outbox


class Messenger:
    """See Notifier. Operator-wide receivers have threads of their own: no release can hold them up.

    What was told is remembered by release, version and reason, so the end of a rollback is not told
    again after its begin; after a restart it may be, once.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # each is one thing that a test replaces
        self,
        file: NotifyFile,
        mounted: Secrets,
        cluster: Secrets,
        send: Send,
        counts: Counts,
        warn: Warn,
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
        self._wide = Outbox(timing, counts, workers=1 + len(file.receivers))
        self._own = Outbox(timing, counts)
        self._told: OrderedDict[str, Incident | None] = OrderedDict()
        counts.follow(lambda: float(len(self._wide) + len(self._own)))

    def notify(self, notice: Notice) -> None:
        """Queues the notice; who is told is worked out by another thread."""
        about = f"{notice.key.namespace}/{notice.key.name}: {notice.reason}"
        self._wide.put(Task(_INTAKE, "", about, True, lambda: self._spread(notice)))

    def close(self, seconds: float = FLUSH) -> None:
        """Sends what waits, for so long at most."""
        end = self._timing.now() + seconds
        self._stopper.stop()
        self._wide.close(seconds)
        self._own.close(max(end - self._timing.now(), 0.0))

    def _spread(self, notice: Notice) -> None:
        news = news_of(notice)
        if news is None:
            return
        fresh = self._fresh(news)
        for address in self._addresses(news):
            letter = letter_for(address.entry, news, self._links, fresh=fresh)
            if letter is not None:
                address.outbox.put(self._task(address, letter))

    def _fresh(self, news: News) -> bool:
        """Whether it has not been told; what is over may be told again when it comes again."""
        for known in [key for key, one in self._told.items() if one in news.resolved]:
            del self._told[known]
        fresh = news.id not in self._told
        self._told[news.id] = news.incident
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        if not fresh:
            self._counts.repeated()
        return fresh

    def _addresses(self, news: News) -> Iterator[Address]:
        for route in self._file.receivers:
            if not route.namespaces or news.key.namespace in route.namespaces:
                yield self._of_operator(route)
        for entry in news.spec.notify:
            lane = f"{news.key.namespace}/{entry.receiver.model_dump_json()}"
            yield Address(entry, f"{entry.kind}/{lane}", entry.kind, self._cluster, self._own)

    def _of_operator(self, route: Route) -> Address:
        return Address(route, route.name, route.name, self._mounted, self._wide)

    def _task(self, address: Address, letter: Letter) -> Task:
        news = letter.news
        about = f"{news.key.namespace}/{news.key.name}: {news.reason}"
        urgent = news.kind in {Kind.ROLLBACK, Kind.STUCK} or bool(letter.over)
        lane = f"receiver {address.lane}"

        def failed(why: str) -> None:
            words = f"{address.name} was not told of {news.reason}: {why}"
            self._warn(news.key, Reason.NOTIFICATION_FAILED, words)

        run = partial(self._deliver, address, letter)
        owner = news.key.namespace if address.outbox is self._own else ""
        return Task(lane, address.name, about, urgent, run, failed, owner)

    def _deliver(self, address: Address, letter: Letter) -> None:
        """Raises TransientError, PermanentError."""
        entry, news, now = address.entry, letter.news, self._clock.now
        ref = entry.secret
        secret = "" if ref is None else address.secrets.read(news.key.namespace, ref)
        for index in range(len(formed(letter, entry, secret, now()))):
            self._retrying(address.name)(self._attempt, entry, letter, secret, index)
        self._counts.delivered(address.name, now() - news.at)

    def _attempt(self, entry: Notify, letter: Letter, secret: str, index: int) -> None:
        """Formed anew each time: a signature has a time."""
        now = self._clock.now()
        self._send(formed(letter, entry, secret, now)[index], now)

    def _retrying(self, receiver: str) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_pause,
            retry=retry_if_exception(self._soon),
            before_sleep=lambda _: self._counts.retried(receiver),
            sleep=self._sleep,
            reraise=True,
        )

    def _sleep(self, seconds: float) -> None:
        self._stopper.sleep(seconds)

    def _soon(self, error: BaseException) -> bool:
        if self._stopper.stopped or not isinstance(error, DeliveryError):
            return False
        return error.retry_after <= QUICK


def _pause(state: RetryCallState) -> float:
    """Seconds: what the receiver asks for, and some jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, DeliveryError) else 0.0
    return asked + float(_jitter(state))


class Everybody:
    """A Notifier that passes on to several."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    def notify(self, notice: Notice) -> None:
        """To each of them."""
        for one in self._notifiers:
            one.notify(notice)
