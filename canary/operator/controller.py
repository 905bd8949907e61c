"""From changes to passes.

Every change is mapped to the releases that it concerns, each release has one place in the queue,
and workers pass over what is due.
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
from canary.operator.reconciler import RELEASE_DELETED, ReleaseReconciler
from canary.operator.release_index import ReleaseIndex

_log = logging.getLogger(__name__)

WORKERS: Final = 16
DRAIN_SECONDS: Final = 20.0
"""Seconds that passes at hand get to end, out of the pod's 30."""
STUCK_SECONDS: Final = 120.0
"""Seconds that no pass can take: every call in it has a time-out."""


@dataclass
class Controller:
    """Works between `start` and `stop`, any number of times; listens all the time.

    `forget` is told of releases that are gone, also while this replica does not lead.
    """

    passes: ReleaseReconciler
    timing: Timing
    known: Callable[[], list[Key]]
    """All releases that there are."""
    observer: QueueObserver | None = None
    workers: int = WORKERS
    drain: float = DRAIN_SECONDS
    subjects: ReleaseIndex = field(default_factory=ReleaseIndex)
    _queue: WorkQueue[Key] | None = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """The watches' handler; returns at once."""
        if kind == RELEASES and (release := new or old) is not None:
            key = key_of(release)
            self.subjects.learn(new, key)
            if old is None or new is None or desired_state(old) != desired_state(new):
                self.wake(key)
        seen = [item for item in (old, new) if item is not None]
        if (
            kind == RELEASES
            and old is not None
            and new is not None
            and desired_state(old) == desired_state(new)
        ):
            return  # our own status
        for item in seen:
            for key in self.subjects.concerned(kind, item):
                self.wake(key)

    def wake(self, key: Key) -> None:
        """Has the release passed over now; nothing while this replica does not lead."""
        if (queue := self._queue) is not None:
            queue.add(key)

    def wake_all(self) -> None:
        """Has every release passed over."""
        for key in self.known():
            self.wake(key)

    def start(self) -> None:
        """Begins to work; returns at once."""
        queue: WorkQueue[Key] = WorkQueue(self.timing, self.observer)
        self._queue = queue
        self.wake_all()
        self._threads = [
            threading.Thread(target=self._work, args=(queue,), name=f"worker-{n}", daemon=True)
            for n in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Takes no more keys, and waits for the passes at hand; for so long at most."""
        if (queue := self._queue) is None:
            return
        queue.close()
        if not queue.drained(self.drain):
            _log.warning("%d passes had not ended after %g s", len(queue.working), self.drain)
        self._queue = None

    @property
    def depth(self) -> int:
        """Releases that are due."""
        return queue.depth if (queue := self._queue) is not None else 0

    @property
    def working(self) -> tuple[float, ...]:
        """For how many seconds each pass at hand has been running."""
        return queue.working if (queue := self._queue) is not None else ()

    @property
    def problem(self) -> str | None:
        """Why this process should be started anew; None: it need not."""
        if self._queue is not None and not all(thread.is_alive() for thread in self._threads):
            return "a worker has ended"
        longest = max(self.working, default=0.0)
        return f"a pass has been running for {longest:.0f} s" if longest > STUCK_SECONDS else None

    def _work(self, queue: WorkQueue[Key]) -> None:
        while (key := queue.get()) is not None:
            try:
                self._pass(queue, key)
            except Exception:  # noqa: BLE001  # a thread that ends would be a silent lie
                _log.exception("a worker failed")
                queue.retry(key)
            finally:
                queue.done(key)

    def _pass(self, queue: WorkQueue[Key], key: Key) -> None:
        again = self.passes.run(key)
        if again is RELEASE_DELETED:
            queue.drop(key)
        elif again.failed:
            queue.retry(key, again.after)
        else:
            queue.forget(key)
            queue.add_after(key, again.after)


def key_of(release: Object) -> Key:
    """Names the release."""
    return Key(release["metadata"]["namespace"], release["metadata"]["name"])


def desired_state(release: Object) -> object:
    """What people say in a release; a change of the rest is our own status."""
    metadata = release["metadata"]
    names = ("uid", "generation", "annotations", "deletionTimestamp", "finalizers")
    return [metadata.get(name) for name in names]
