"""What waits to be sent: one lane for each receiver, so that one that hangs delays no other.

A lane is worked off in order, by one thread at a time. What fails stays first in its lane, which
then rests for longer and longer (its circuit is open), until it works again or what waits is stale.
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
STALE = 900.0
"""Seconds after which news are not worth sending any more."""
_REST, _LONGEST_REST = 5.0, 120.0


class Result(StrEnum):
    """How the way of one task ended."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver does not want it, or there is no such receiver."""
    EXPIRED = "expired"
    """It could not be delivered for too long, or until the shutdown."""
    DROPPED = "dropped"
    """The queue was full."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to send; `run` raises TransientError where another try may help."""

    lane: str
    receiver: str
    """As metrics call it; no secret."""
    about: str
    """Release and reason, for log lines."""
    urgent: bool
    """Kept when the queue overflows."""
    run: Callable[[], None]
    failed: Callable[[str], None] = lambda _: None
    """Told why, when it was not delivered in the end."""
    owner: str = ""
    """The namespace that it is sent for: each has its share of the threads and of the room."""


class Observer(Protocol):
    """Who counts."""

    def ended(self, task: Task, result: Result) -> None:
        """The task's way has ended."""
        ...


@dataclass(slots=True)
class _Lane:
    owner: str = ""
    waiting: deque[tuple[float, Task]] = field(default_factory=deque)
    """When it was put there (by `timing`), and what."""
    busy: bool = False
    failures: int = 0
    not_before: float = 0.0


class Outbox:
    """Threads are started when they are needed, and go to the owner for whom the fewest work.

    A full queue drops the oldest of the longest lane of the owner of whom the most wait: nobody's
    slow or many receivers keep another's waiting. Nothing that is urgent is dropped while there is
    something else in that lane.
    """

    def __init__(
        self, timing: Timing, observer: Observer, *, workers: int = 16, capacity: int = CAPACITY
    ) -> None:
        self._timing = timing
        self._observer = observer
        self._workers = workers
        self._capacity = capacity
        self._changed = threading.Condition()
        self._lanes: dict[str, _Lane] = {}
        self._threads = 0
        self._idle = 0
        self._closing = False
        self._closed = False

    def __len__(self) -> int:
        """How many wait, without those that are being sent."""
        with self._changed:
            return self._count()

    def put(self, task: Task) -> None:
        """Returns at once, whatever the receivers do."""
        with self._changed:
            closed, evicted = self._closed, None
            if not closed:
                lane = self._lanes.setdefault(task.lane, _Lane(task.owner))
                lane.waiting.append((self._timing.now(), task))
                evicted = self._evicted() if self._count() > self._capacity else None
                self._staff()
                self._changed.notify_all()
        if closed:
            self._ended(task, Result.EXPIRED, "the operator ends")
        if evicted is not None:
            self._ended(evicted, Result.DROPPED, "too many are waiting")

    def close(self, seconds: float) -> None:
        """Sends what waits, for so long at most; each has one attempt, and resting lanes none."""
        end = self._timing.now() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._threads and (left := end - self._timing.now()) > 0:
                self._timing.wait(self._changed, left)
            self._closed = True
            rest = [task for lane in self._lanes.values() for _, task in lane.waiting]
            self._lanes.clear()
            self._changed.notify_all()
        for task in rest:
            self._ended(task, Result.EXPIRED, "the operator ends")

    def _count(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def _evicted(self) -> Task:
        lengths = Counter[str]()
        for lane in self._lanes.values():
            lengths[lane.owner] += len(lane.waiting)
        (owner, _), *_ = lengths.most_common(1)
        theirs = [lane for lane in self._lanes.values() if lane.owner == owner]
        waiting = max(theirs, key=lambda lane: len(lane.waiting)).waiting
        calm = next((index for index, (_, task) in enumerate(waiting) if not task.urgent), 0)
        _, task = waiting[calm]
        del waiting[calm]
        return task

    def _staff(self) -> None:
        if not self._idle and self._threads < self._workers:
            self._threads += 1
            threading.Thread(target=self._work, name="notify", daemon=True).start()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            name, since, task = found
            self._after(name, since, task, self._attempt(task))
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _next(self) -> tuple[str, float, Task] | None:
        """The next of a lane that nobody works on and that does not rest; None at the end."""
        with self._changed:
            while not self._closed:
                now = self._timing.now()
                free = {name: one for name, one in self._lanes.items() if _free(one)}
                if (name := self._fairest(free, now)) is not None:
                    lane = free[name]
                    lane.busy = True
                    if len(free) > 1:
                        self._staff()
                    self._lanes[name] = self._lanes.pop(name)  # the others come first now
                    return name, *lane.waiting.popleft()
                if self._closing and not any(lane.busy for lane in self._lanes.values()):
                    return None
                # A lane that waits for its owner's share is looked at when a thread is done.
                resting = (one.not_before for one in free.values() if one.not_before > now)
                until = min(resting, default=None)
                self._idle += 1
                self._timing.wait(self._changed, None if until is None else until - now)
                self._idle -= 1
        return None

    def _fairest(self, free: Mapping[str, _Lane], now: float) -> str | None:
        """A lane that does not rest, of an owner for whom the fewest threads work.

        An owner has a quarter of the threads at most, even alone: one that comes later finds some.
        """
        busy = Counter(lane.owner for lane in self._lanes.values() if lane.busy)
        share = max(self._workers // 4, 1)
        due = [name for name, lane in free.items() if lane.not_before <= now]
        mine = [name for name in due if not free[name].owner or busy[free[name].owner] < share]
        return min(mine, key=lambda name: busy[free[name].owner], default=None)

    def _attempt(self, task: Task) -> CanaryError | None:
        try:
            task.run()
        except CanaryError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a bug must not end all notifications
            return CanaryError(f"a bug: {type(error).__name__}")  # its words may hold a secret
        return None

    def _after(self, name: str, since: float, task: Task, error: CanaryError | None) -> None:
        with self._changed:
            lane = self._lanes.setdefault(name, _Lane(task.owner))
            again = isinstance(error, TransientError) and self._rested(lane, since, task, error)
            if error is None:
                lane.failures, lane.not_before = 0, 0.0
        # Counted while the lane is still busy: its tasks end in the order in which they came.
        if error is None:
            self._ended(task, Result.DELIVERED, "")
        elif not again:
            refused = not isinstance(error, TransientError)
            self._ended(task, Result.REFUSED if refused else Result.EXPIRED, str(error))
        with self._changed:
            lane.busy = False
            if not lane.waiting and not lane.failures:
                self._lanes.pop(name, None)  # `close` has cleared them
            self._changed.notify_all()

    def _rested(self, lane: _Lane, since: float, task: Task, error: TransientError) -> bool:
        """The lane rests; returns whether the task is tried again after that."""
        now = self._timing.now()
        lane.failures += 1
        pause = _rest(lane.failures, error)
        lane.not_before = now + pause
        if self._closing or now + pause - since > STALE:
            return False
        lane.waiting.appendleft((since, task))
        if lane.failures == 1:
            words = "delivery to %s of %s failed, retry in %.0f s: %s"
            log.warning(words, task.receiver, task.about, pause, error)
        return True

    def _ended(self, task: Task, result: Result, why: str) -> None:
        if result is not Result.DELIVERED:
            words = "%s was not told of %s (%s): %s"
            log.warning(words, task.receiver, task.about, result.value, why)
            task.failed(why)
        self._observer.ended(task, result)


def _free(lane: _Lane) -> bool:
    return bool(lane.waiting) and not lane.busy


def _rest(failures: int, error: TransientError) -> float:
    """Seconds that a lane rests after so many failures in a row."""
    return max(min(_REST * 2.0 ** min(failures - 1, 10), _LONGEST_REST), error.retry_after)
