"""A thread pool that is shared fairly, so that slow calls of one caller do not delay others."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")


class CrowdedError(Exception):
    """The caller has too many waiting calls."""


@dataclass(frozen=True, slots=True)
class _Task(Generic[_T]):
    future: "Future[_T]"
    call: Callable[[], _T]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.call())
        except BaseException as error:  # noqa: BLE001  # whatever the error, the caller must not wait forever
            self.future.set_exception(error)


class FairExecutor:
    """Runs at most `share` calls of one caller at a time, and queues at most `waiting` more.

    Calls of one caller start in order. Other callers are not delayed, because one caller never has
    more than `share` calls in the queue of the threads.
    """

    def __init__(self, threads: int, share: int, name: str, waiting: int = 200) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._share = share
        self._longest = waiting
        self._lock = threading.Lock()
        self._running: dict[Hashable, int] = defaultdict(int)
        self._waiting: dict[Hashable, deque[_Task[object]]] = defaultdict(deque)

    def submit(self, caller: Hashable, call: Callable[[], _T]) -> "Future[_T]":
        """Return the future of the call; with too many waiting calls it fails with CrowdedError."""
        future: Future[_T] = Future()
        with self._lock:
            if self._running[caller] >= self._share:
                if len(self._waiting[caller]) >= self._longest:
                    future.set_exception(
                        CrowdedError("too many calls of this namespace are waiting")
                    )
                else:
                    self._waiting[caller].append(_Task(future, call))  # type: ignore[arg-type]  # each task has its own type
                return future
            self._running[caller] += 1
        self._start_task(caller, _Task(future, call))
        return future

    def close(self) -> None:
        """Start no more calls; running calls end with their timeouts."""
        with self._lock:
            left = [task for tasks in self._waiting.values() for task in tasks]
            self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for task in left:
            task.future.cancel()

    def _start_task(self, caller: Hashable, task: _Task[_T]) -> None:
        try:
            self._threads.submit(self._run_task, caller, task)
        except RuntimeError:  # closed
            task.future.cancel()

    def _run_task(self, caller: Hashable, task: _Task[_T]) -> None:
        task.run()
        with self._lock:
            waiting = self._waiting[caller]
            following = waiting.popleft() if waiting else None
            if following is None:
                del self._waiting[caller]
                self._running[caller] -= 1
                if not self._running[caller]:
                    del self._running[caller]
        if following is not None:
            self._start_task(caller, following)
