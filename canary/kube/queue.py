"""Which key is to be worked on when: each key once, never on two workers at the same time.

As client-go's delaying, rate-limited work queue, with one difference: a key has one due time, the
earliest that anybody asked for, and taking the key forgets it. The pass that follows says when
the next is due.
"""

import heapq
import random
import threading
from collections.abc import Hashable
from typing import Final, Generic, Protocol, TypeVar

from canary.kube.timing import SystemTiming, Timing

K = TypeVar("K", bound=Hashable)

FIRST_DELAY: Final = 0.2
LONGEST_DELAY: Final = 60.0
"""Seconds until a key that failed once, or often, is tried again."""


class QueueObserver(Protocol):
    """Is told what happens, for the `workqueue_*` metrics; must return at once."""

    def added(self) -> None:
        """A key was planned, or planned for sooner than it was."""
        ...

    def taken(self, waited: float) -> None:
        """A worker took a key, so many seconds after it was due."""
        ...

    def finished(self, worked: float) -> None:
        """It was done, after so many seconds."""
        ...

    def retried(self) -> None:
        """It failed, and is tried again."""
        ...


class WorkQueue(Generic[K]):
    """Keys with due times, for any number of workers.

    A worker: `while (key := queue.get()) is not None: try … finally: queue.done(key)`; what it has
    done it waits for again itself, so nobody else is woken.
    """

    def __init__(self, timing: Timing | None = None, observer: QueueObserver | None = None) -> None:
        self._timing = timing or SystemTiming()
        self._observer = observer
        self._lock = threading.RLock()
        self._timer = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._finished = threading.Condition(self._lock)
        self._watched = False
        """Whether a worker waits for the earliest due time: on `_timer`, the others on `_idle`.

        So each key wakes one worker. With one condition for all, every idle worker woke for each
        key and each due time, only to sleep again.
        """
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        """(due, order, key); entries that `_due` no longer knows are skipped."""
        self._order = 0
        self._running: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Due now; again after the worker that has it now."""
        self.add_after(key, 0.0)

    def add_after(self, key: K, seconds: float) -> None:
        """Due in so many seconds, or at the time it is due already if that is sooner."""
        with self._lock:
            due = self._timing.now() + max(0.0, seconds)
            known = self._due.get(key)
            if self._closed or (known is not None and known <= due):
                return
            self._due[key] = due
            self._order += 1
            if self._observer is not None:
                self._observer.added()
            if key not in self._running:  # else `done` puts it into the heap
                heapq.heappush(self._heap, (due, self._order, key))
                self._wake(key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Due after a backoff that doubles with each failure of the key; seconds until then."""
        with self._lock:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 20))
        seconds = max(at_least, longest * random.uniform(0.75, 1.0))  # noqa: S311
        if self._observer is not None:
            self._observer.retried()
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """It worked: the next failure is the first again."""
        with self._lock:
            self._failures.pop(key, None)

    def drop(self, key: K) -> None:
        """It is not there any more: neither due nor counted."""
        with self._lock:
            self._due.pop(key, None)
            self._failures.pop(key, None)

    def get(self) -> K | None:
        """Waits for a key that is due and on no other worker; None once shut down."""
        with self._lock:
            while not self._closed:
                key, seconds = self._next()
                if key is not None:
                    return self._take(key)
                if self._watched:
                    self._timing.wait(self._idle, None)
                    continue
                self._watched = True
                self._timing.wait(self._timer, seconds)
                self._watched = False
        return None

    def done(self, key: K) -> None:
        """The worker has finished with it, well or not."""
        with self._lock:
            began = self._running.pop(key)
            if self._observer is not None:
                self._observer.finished(self._timing.now() - began)
            if key in self._due:
                heapq.heappush(self._heap, (self._due[key], self._order, key))
                if self._watched:  # else the worker itself waits for it, in `get`
                    self._wake(key)
            self._finished.notify_all()

    def close(self) -> None:
        """Every `get` returns None from now on; what runs goes on."""
        with self._lock:
            self._closed = True
            for waiting in (self._timer, self._idle, self._finished):
                waiting.notify_all()

    def drained(self, seconds: float) -> bool:
        """Waits at most so long for the workers; whether none works any more."""
        end = self._timing.now() + seconds
        with self._lock:
            while self._running and (left := end - self._timing.now()) > 0:
                self._timing.wait(self._finished, left)
            return not self._running

    @property
    def depth(self) -> int:
        """Keys that are due and not yet taken."""
        with self._lock:
            now = self._timing.now()
            return sum(due <= now for due in self._due.values())

    @property
    def working(self) -> tuple[float, ...]:
        """For how many seconds each key that is worked on has been."""
        with self._lock:
            now = self._timing.now()
            return tuple(now - began for began in self._running.values())

    def _wake(self, key: K) -> None:
        """Wakes one worker if the key is the next that is due."""
        if self._heap[0][2] == key:
            (self._timer if self._watched else self._idle).notify()

    def _next(self) -> tuple[K | None, float | None]:
        """The key to take now, or seconds until there may be one (None: nothing is planned)."""
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due or key in self._running:
                heapq.heappop(self._heap)  # outdated, or `done` puts it back
                continue
            wait = due - self._timing.now()
            return (key, None) if wait <= 0 else (None, wait)
        return None, None

    def _take(self, key: K) -> K:
        now = self._timing.now()
        heapq.heappop(self._heap)
        due = self._due.pop(key)
        self._running[key] = now
        if self._heap and not self._watched:
            self._idle.notify()  # another worker waits for the next key
        if self._observer is not None:
            self._observer.taken(now - due)
        return key
