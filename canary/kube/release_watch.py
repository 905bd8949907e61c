"""Watches CanaryReleases with one list and one watch, across lost connections."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Self

from canary.kube.cache import Cache, Scope
from canary.kube.objects import RELEASES, Object
from canary.kube.reflector import Reflector
from canary.kube.selected import SelectedObjects
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import Transport

STOP_TIMEOUT: Final = 2.0
"""Seconds to wait for the thread of the watch to end."""


@dataclass(frozen=True, slots=True)
class ReleaseUpdate:
    """A changed release, or the news that nothing has changed.

    `item` is the new object. With `old` alone the release was deleted; with neither, nothing has
    happened since the last update. `trouble` is why the watch is broken; empty if it works.
    """

    item: Object | None = None
    old: Object | None = None
    trouble: str = ""


class ReleaseWatch:
    """A watch on one release, or on those of a namespace, until it is closed.

    Use as a context manager. The API server filters the releases by name and labels.
    """

    def __init__(
        self, transport: Transport, namespace: str, *, name: str = "", labels: str = ""
    ) -> None:
        stopper = Stopper(SystemTiming())
        fields = f"metadata.name={name}" if name else ""
        self._source = SelectedObjects(transport, stopper, fields, labels)
        self._cache = Cache(Scope(RELEASES, namespace))
        self._queue: SimpleQueue[ReleaseUpdate] = SimpleQueue()
        self._cache.on_change(lambda old, new: self._queue.put(ReleaseUpdate(new, old)))
        self._reflector = Reflector(self._source, self._cache, stopper)
        # the command reports a broken watch itself
        logging.getLogger("canary.kube.reflector").setLevel(logging.ERROR)

    def __enter__(self) -> Self:
        self._reflector.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reflector.stop(STOP_TIMEOUT)

    def updates(self, timeout: float) -> Iterator[ReleaseUpdate]:
        """Yield changes, and an empty update after each `timeout` seconds without one. Never ends.

        Raises errors that a retry does not fix: ForbiddenError, UnauthorizedError, UsageError.
        """
        while True:
            try:
                item = self._queue.get(timeout=timeout)
            except Empty:
                item = ReleaseUpdate()
            if self._source.refused is not None:
                raise self._source.refused
            yield ReleaseUpdate(item.item, item.old, self._reflector.problem)

    def updates_for(self, seconds: float) -> Iterator[ReleaseUpdate]:
        """Yield the updates of so many seconds. Raises as `updates` does."""
        timing = SystemTiming()
        end = timing.now() + seconds
        for update in self.updates(min(seconds, 1.0)):
            yield update
            if timing.now() >= end:
                return
