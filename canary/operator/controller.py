"""The controller: reconciles a release whenever one of its objects changes.

Each change of an object is mapped to its releases, each release has one entry in the queue, and
workers reconcile what is due.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from canary.interfaces import Key
from canary.kube.objects import RELEASES, Kind, Object
from canary.kube.queue import QueueObserver, WorkQueue
from canary.kube.timing import Timing
from canary.operator.changes import is_relevant
from canary.operator.reconciler import RELEASE_DELETED, ReleaseReconciler
from canary.operator.release_index import ReleaseIndex

_log = logging.getLogger(__name__)

WORKERS: Final = 16
BURST: Final = 0.1
"""Seconds from the first change of a burst until the reconcile that sees all of it.

Kubernetes writes a pod, its ReplicaSet and its Deployment one after the other, and a router reports
on a route just after it was written.
"""
DRAIN_SECONDS: Final = 20.0
"""Seconds that running reconciles have to end at a shutdown, out of the pod's 30."""
STUCK_SECONDS: Final = 120.0
"""A reconcile that takes longer, in seconds, is stuck: every call in it has a time-out."""


@dataclass
class Controller:
    """Reconciles between `start` and `stop`, any number of times; indexes changes all the time."""

    reconciler: ReleaseReconciler
    timing: Timing
    list_keys: Callable[[], list[Key]]
    """Returns the keys of all releases."""
    observer: QueueObserver | None = None
    workers: int = WORKERS
    drain: float = DRAIN_SECONDS
    index: ReleaseIndex = field(default_factory=ReleaseIndex)
    _queue: WorkQueue[Key] | None = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """Handle a change from a watch; return immediately."""
        release = (new or old) if kind == RELEASES else None
        if release is not None:
            self.index.update(new, key_of(release))
        if not is_relevant(kind, old, new):
            return
        if release is not None:
            self.wake(key_of(release))
        for item in (old, new):
            if item is not None:
                for key in self.index.find_releases(kind, item):
                    self.wake(key, BURST)

    def wake(self, key: Key, after: float = 0.0) -> None:
        """Make the release due in `after` seconds; no effect while this replica does not lead."""
        if (queue := self._queue) is not None:
            queue.add_after(key, after)

    def wake_all(self) -> None:
        """Make every release due now."""
        for key in self.list_keys():
            self.wake(key)

    def start(self) -> None:
        """Start the workers; return immediately."""
        queue: WorkQueue[Key] = WorkQueue(self.timing, self.observer)
        self._queue = queue
        self.wake_all()
        self._threads = [
            threading.Thread(
                target=self._reconcile_keys, args=(queue,), name=f"worker-{n}", daemon=True
            )
            for n in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more keys, and wait at most `drain` seconds for running reconciles."""
        if (queue := self._queue) is None:
            return
        queue.close()
        if not queue.wait_until_drained(self.drain):
            _log.warning("%d reconciles have not ended after %g s", len(queue.working), self.drain)
        self._queue = None

    @property
    def depth(self) -> int:
        """Number of releases that are due."""
        return queue.depth if (queue := self._queue) is not None else 0

    @property
    def working(self) -> tuple[float, ...]:
        """Age of each running reconcile in seconds."""
        return queue.working if (queue := self._queue) is not None else ()

    @property
    def problem(self) -> str | None:
        """Why this process has to be restarted; None when it works."""
        if self._queue is not None and not all(thread.is_alive() for thread in self._threads):
            return "a worker has ended"
        longest = max(self.working, default=0.0)
        return (
            f"a reconcile has been running for {longest:.0f} s" if longest > STUCK_SECONDS else None
        )

    def _reconcile_keys(self, queue: WorkQueue[Key]) -> None:
        while (key := queue.get()) is not None:
            try:
                self._reconcile_key(queue, key)
            except Exception:  # noqa: BLE001  # otherwise the worker would end unnoticed
                _log.exception("a worker failed")
                queue.retry(key)
            finally:
                queue.done(key)

    def _reconcile_key(self, queue: WorkQueue[Key], key: Key) -> None:
        result = self.reconciler.run(key)
        if result is RELEASE_DELETED:
            queue.drop(key)
        elif result.failed:
            queue.retry(key, result.after)
        else:
            queue.forget(key)
            queue.add_after(key, result.after)


def key_of(release: Object) -> Key:
    """Return the key of a release."""
    return Key(release["metadata"]["namespace"], release["metadata"]["name"])
