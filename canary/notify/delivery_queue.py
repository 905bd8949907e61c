"""Delivers messages through one queue per receiver, so that a slow receiver delays no other.

One thread at a time works on a queue, in order. A task that fails stays first in its queue, which
then backs off exponentially until a delivery succeeds or the task expires.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from canary.errors import CanaryError, TransientError
from canary.kube.timing import Timing

log = logging.getLogger(__name__)

CAPACITY = 1000
MAX_AGE = 900.0
"""Seconds after which a task expires."""
_BACKOFF, _MAX_BACKOFF = 5.0, 120.0


class DeliveryResult(StrEnum):
    """How a task ended."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver rejected it or does not exist."""
    EXPIRED = "expired"
    """It could not be delivered in time, or before the shutdown."""
    DROPPED = "dropped"
    """The queue was full."""


@dataclass(frozen=True, slots=True)
class DeliveryTask:
    """One delivery; `run` raises TransientError if a retry may help."""

    queue: str
    receiver: str
    """Name in metrics; not secret."""
    about: str
    """Release and reason, for log lines."""
    urgent: bool
    """Dropped last when the queue overflows."""
    run: Callable[[], None]
    failed: Callable[[str], None] = lambda _: None
    """Called with the reason if the task was not delivered."""
    owner: str = ""
    """Namespace of the release; threads and capacity are shared fairly between namespaces."""


class DeliveryObserver(Protocol):
    """Counts ended tasks."""

    def ended(self, task: DeliveryTask, result: DeliveryResult) -> None:
        """Record the result of a task."""
        ...


@dataclass(slots=True)
class _ReceiverQueue:
    owner: str = ""
    waiting: deque[tuple[float, DeliveryTask]] = field(default_factory=deque)
    """Pairs of the time of arrival (by `timing`) and the task."""
    busy: bool = False
    failures: int = 0
    not_before: float = 0.0


class DeliveryQueue:
    """Starts threads on demand and assigns them to the owner with the fewest busy threads.

    On overflow it drops the oldest task in the longest queue of the owner with the most waiting
    tasks, so that one owner's slow receivers do not delay others. Urgent tasks are dropped last.
    """

    def __init__(
        self,
        timing: Timing,
        observer: DeliveryObserver,
        *,
        workers: int = 16,
        capacity: int = CAPACITY,
    ) -> None:
        self._timing = timing
        self._observer = observer
        self._workers = workers
        self._capacity = capacity
        self._changed = threading.Condition()
        self._queues: dict[str, _ReceiverQueue] = {}
        self._threads = 0
        self._idle = 0
        self._closing = False
        self._closed = False

    def __len__(self) -> int:
        """Return the number of waiting tasks, without those being sent."""
        with self._changed:
            return self._count_waiting()

    def put(self, task: DeliveryTask) -> None:
        """Queue the task; never blocks."""
        with self._changed:
            closed, evicted = self._closed, None
            if not closed:
                queue = self._queues.setdefault(task.queue, _ReceiverQueue(task.owner))
                queue.waiting.append((self._timing.now(), task))
                evicted = self._evict_task() if self._count_waiting() > self._capacity else None
                self._start_thread()
                self._changed.notify_all()
        if closed:
            self._record_end(task, DeliveryResult.EXPIRED, "the operator ends")
        if evicted is not None:
            self._record_end(evicted, DeliveryResult.DROPPED, "too many are waiting")

    def close(self, seconds: float) -> None:
        """Send waiting tasks for at most `seconds`: one attempt each, none while backing off."""
        end = self._timing.now() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._threads and (left := end - self._timing.now()) > 0:
                self._timing.wait(self._changed, left)
            self._closed = True
            rest = [task for queue in self._queues.values() for _, task in queue.waiting]
            self._queues.clear()
            self._changed.notify_all()
        for task in rest:
            self._record_end(task, DeliveryResult.EXPIRED, "the operator ends")

    def _count_waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def _evict_task(self) -> DeliveryTask:
        lengths = Counter[str]()
        for queue in self._queues.values():
            lengths[queue.owner] += len(queue.waiting)
        (owner, _), *_ = lengths.most_common(1)
        theirs = [queue for queue in self._queues.values() if queue.owner == owner]
        waiting = max(theirs, key=lambda queue: len(queue.waiting)).waiting
        calm = next((index for index, (_, task) in enumerate(waiting) if not task.urgent), 0)
        _, task = waiting[calm]
        del waiting[calm]
        return task

    def _start_thread(self) -> None:
        if not self._idle and self._threads < self._workers:
            self._threads += 1
            threading.Thread(target=self._deliver_tasks, name="notify", daemon=True).start()

    def _deliver_tasks(self) -> None:
        while (found := self._take_next()) is not None:
            name, since, task = found
            self._finish_attempt(name, since, task, self._run_task(task))
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _take_next(self) -> tuple[str, float, DeliveryTask] | None:
        """Return the next task of an idle queue that is not backing off; None after `close`."""
        with self._changed:
            while not self._closed:
                now = self._timing.now()
                free = {name: one for name, one in self._queues.items() if _is_free(one)}
                if (name := self._find_fairest(free, now)) is not None:
                    queue = free[name]
                    queue.busy = True
                    if len(free) > 1:
                        self._start_thread()
                    self._queues[name] = self._queues.pop(
                        name
                    )  # The tasks of other owners come first now.
                    return name, *queue.waiting.popleft()
                if self._closing and not any(queue.busy for queue in self._queues.values()):
                    return None
                # A queue that waits for its owner's share is checked when a thread is done.
                resting = (one.not_before for one in free.values() if one.not_before > now)
                until = min(resting, default=None)
                self._idle += 1
                self._timing.wait(self._changed, None if until is None else until - now)
                self._idle -= 1
        return None

    def _find_fairest(self, free: Mapping[str, _ReceiverQueue], now: float) -> str | None:
        """Return a queue that is due, of the owner with the fewest busy threads.

        An owner gets at most a quarter of the threads, so that some are left for later owners.
        """
        busy = Counter(queue.owner for queue in self._queues.values() if queue.busy)
        share = max(self._workers // 4, 1)
        due = [name for name, queue in free.items() if queue.not_before <= now]
        mine = [name for name in due if not free[name].owner or busy[free[name].owner] < share]
        return min(mine, key=lambda name: busy[free[name].owner], default=None)

    def _run_task(self, task: DeliveryTask) -> CanaryError | None:
        try:
            task.run()
        except CanaryError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a bug must not end all notifications
            # The error's text may contain a secret.
            return CanaryError(f"a bug: {type(error).__name__}")
        return None

    def _finish_attempt(
        self, name: str, since: float, task: DeliveryTask, error: CanaryError | None
    ) -> None:
        with self._changed:
            queue = self._queues.setdefault(name, _ReceiverQueue(task.owner))
            again = isinstance(error, TransientError) and self._back_off(queue, since, task, error)
            if error is None:
                queue.failures, queue.not_before = 0, 0.0
        # Counted while the queue is still busy: its tasks end in the order in which they came.
        if error is None:
            self._record_end(task, DeliveryResult.DELIVERED, "")
        elif not again:
            refused = not isinstance(error, TransientError)
            self._record_end(
                task, DeliveryResult.REFUSED if refused else DeliveryResult.EXPIRED, str(error)
            )
        with self._changed:
            queue.busy = False
            if not queue.waiting and not queue.failures:
                self._queues.pop(name, None)  # `close` has removed them.
            self._changed.notify_all()

    def _back_off(
        self, queue: _ReceiverQueue, since: float, task: DeliveryTask, error: TransientError
    ) -> bool:
        """Back off the queue; return whether the task will be retried."""
        now = self._timing.now()
        queue.failures += 1
        pause = _backoff_seconds(queue.failures, error)
        queue.not_before = now + pause
        if self._closing or now + pause - since > MAX_AGE:
            return False
        queue.waiting.appendleft((since, task))
        if queue.failures == 1:
            words = "delivery to %s of %s failed, retry in %.0f s: %s"
            log.warning(words, task.receiver, task.about, pause, error)
        return True

    def _record_end(self, task: DeliveryTask, result: DeliveryResult, why: str) -> None:
        if result is not DeliveryResult.DELIVERED:
            words = "delivery to %s of %s ended without success (%s): %s"
            log.warning(words, task.receiver, task.about, result.value, why)
            task.failed(why)
        self._observer.ended(task, result)


def _is_free(queue: _ReceiverQueue) -> bool:
    return bool(queue.waiting) and not queue.busy


def _backoff_seconds(failures: int, error: TransientError) -> float:
    """Return the seconds to back off after this number of consecutive failures."""
    return max(min(_BACKOFF * 2.0 ** min(failures - 1, 10), _MAX_BACKOFF), error.retry_after)
