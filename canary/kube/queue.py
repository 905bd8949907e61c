"""A delaying, rate-limited work queue: no two workers have the same key at the same time.

It works as client-go's, with one difference: a key has one due time, the earliest that was
requested, and a worker that takes the key clears it. The reconcile then sets the next due time.

Example: a key is due in 10 s, and a change of its object adds it at once. A worker takes it now,
and the 10 s are cleared. A second change during the reconcile makes it due again, and the same
worker takes it as soon as it is done.
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
"""Seconds until the retry after the first failure of a key, and at most after many."""


class QueueObserver(Protocol):
    """Receives the events of the queue, for the `workqueue_*` metrics; must return immediately."""

    def added(self) -> None:
        """A key was added, or its due time was moved forward."""
        ...

    def taken(self, waited: float) -> None:
        """A worker took a key, `waited` seconds after its due time."""
        ...

    def finished(self, worked: float) -> None:
        """A worker finished a key, after `worked` seconds."""
        ...

    def retried(self) -> None:
        """A key failed and will be retried."""
        ...


class WorkQueue(Generic[K]):
    """Keys with due times, for any number of workers. Thread-safe.

    A worker runs `while (key := queue.get()) is not None: try … finally: queue.done(key)`. After
    `done` it waits in `get` for the key's next due time itself, so no other worker is woken.
    """

    def __init__(self, timing: Timing | None = None, observer: QueueObserver | None = None) -> None:
        self._timing = timing or SystemTiming()
        self._observer = observer
        self._lock = threading.RLock()
        self._timer = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._finished = threading.Condition(self._lock)
        self._watched = False
        """Whether one worker waits on `_timer` for the earliest due time; others wait on `_idle`.

        Each key then wakes one worker. With one condition for all, every key and every due time
        would wake all idle workers.
        """
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        """(due, order, key); entries that differ from `_due` are outdated and skipped."""
        self._order = 0
        self._running: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Make the key due now, or after the worker that has it is done."""
        self.add_after(key, 0.0)

    def add_after(self, key: K, seconds: float) -> None:
        """Make the key due in `seconds`, unless it is due earlier already."""
        with self._lock:
            due = self._timing.now() + max(0.0, seconds)
            known = self._due.get(key)
            if self._closed or (known is not None and known <= due):
                return
            self._due[key] = due
            self._order += 1
            if self._observer is not None:
                self._observer.added()
            if key not in self._running:  # otherwise `done` pushes it
                heapq.heappush(self._heap, (due, self._order, key))
                self._wake_worker(key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Make the key due after a backoff that doubles with each failure; return its seconds."""
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
        """Reset the backoff after a success."""
        with self._lock:
            self._failures.pop(key, None)

    def drop(self, key: K) -> None:
        """Remove a key whose object was deleted, with its due time and its backoff."""
        with self._lock:
            self._due.pop(key, None)
            self._failures.pop(key, None)

    def get(self) -> K | None:
        """Wait for a key that is due and not being processed; None after `close`."""
        with self._lock:
            while not self._closed:
                key, seconds = self._find_next()
                if key is not None:
                    return self._take_key(key)
                if self._watched:
                    self._timing.wait(self._idle, None)
                    continue
                self._watched = True
                self._timing.wait(self._timer, seconds)
                self._watched = False
        return None

    def done(self, key: K) -> None:
        """Mark the key as processed, successfully or not."""
        with self._lock:
            began = self._running.pop(key)
            if self._observer is not None:
                self._observer.finished(self._timing.now() - began)
            if key in self._due:
                heapq.heappush(self._heap, (self._due[key], self._order, key))
                if self._watched:  # otherwise this worker waits for it itself, in `get`
                    self._wake_worker(key)
            self._finished.notify_all()

    def close(self) -> None:
        """Make every `get` return None from now on; running workers continue."""
        with self._lock:
            self._closed = True
            for waiting in (self._timer, self._idle, self._finished):
                waiting.notify_all()

    def wait_until_drained(self, seconds: float) -> bool:
        """Wait at most `seconds` for the workers; return whether none is running."""
        end = self._timing.now() + seconds
        with self._lock:
            while self._running and (left := end - self._timing.now()) > 0:
                self._timing.wait(self._finished, left)
            return not self._running

    @property
    def depth(self) -> int:
        """Number of keys that are due and not yet taken."""
        with self._lock:
            now = self._timing.now()
            return sum(due <= now for due in self._due.values())

    @property
    def working(self) -> tuple[float, ...]:
        """Age in seconds of the processing of each taken key."""
        with self._lock:
            now = self._timing.now()
            return tuple(now - began for began in self._running.values())

    def _wake_worker(self, key: K) -> None:
        """Wake one worker if the key is the next that is due."""
        if self._heap[0][2] == key:
            (self._timer if self._watched else self._idle).notify()

    def _find_next(self) -> tuple[K | None, float | None]:
        """Return the key to take now, or seconds until one may be due (None: there is none)."""
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due or key in self._running:
                heapq.heappop(self._heap)  # outdated, or `done` pushes it again
                continue
            wait = due - self._timing.now()
            return (key, None) if wait <= 0 else (None, wait)
        return None, None

    def _take_key(self, key: K) -> K:
        now = self._timing.now()
        heapq.heappop(self._heap)
        due = self._due.pop(key)
        self._running[key] = now
        if self._heap and not self._watched:
            self._idle.notify()  # another worker has to wait for the next key
        if self._observer is not None:
            self._observer.taken(now - due)
        return key
