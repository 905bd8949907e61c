"""Objects as they change: one list and one watch, whatever happens to the connection."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Self

from canary.cli.cluster import Session
from canary.kube.cache import Cache, Scope
from canary.kube.objects import RELEASES, Object
from canary.kube.reflector import Reflector
from canary.kube.selected import SelectedObjects
from canary.kube.timing import Stopper, SystemTiming

GONE: Final = 2.0
"""Seconds that the end of the watch is waited for."""


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class News:
    """What happened: `item` as it is now; None with `old`: it was deleted; neither: a tick.

    `trouble` is new when the watch broke off, empty again when it goes on.
    """

    item: Object | None = None
    old: Object | None = None
    trouble: str = ""


class Follow:
    """CanaryReleases and their changes, from a watch that goes on until it is closed.

    Use as a context manager. The server chooses what is seen: one object costs one object's news.
    """

    def __init__(
        self, cluster: Session, namespace: str, *, name: str = "", labels: str = ""
    ) -> None:
        stopper = Stopper(SystemTiming())
        fields = f"metadata.name={name}" if name else ""
        self._source = SelectedObjects(cluster.transport, stopper, fields, labels)
        self._cache = Cache(Scope(RELEASES, namespace))
        self._queue: SimpleQueue[News] = SimpleQueue()
        self._cache.on_change(lambda old, new: self._queue.put(News(new, old)))
        self._reflector = Reflector(self._source, self._cache, stopper)
        # whoever follows says it once; the log would say it again
        logging.getLogger("canary.kube.reflector").setLevel(logging.ERROR)

    def __enter__(self) -> Self:
        self._reflector.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reflector.stop(GONE)

    def news(self, tick: float) -> Iterator[News]:
        """What happens; after `tick` seconds without news, that nothing did. Never ends.

        Raises what trying again does not change: ForbiddenError, UnauthorizedError, UsageError.
        """
        while True:
            try:
                item = self._queue.get(timeout=tick)
            except Empty:
                item = News()
            if self._source.refused is not None:
                raise self._source.refused
            yield News(item.item, item.old, self._reflector.problem)

    def within(self, seconds: float) -> Iterator[News]:
        """What happens in so many seconds. Raises as `news`."""
        timing = SystemTiming()
        end = timing.now() + seconds
        for news in self.news(min(seconds, 1.0)):
            yield news
            if timing.now() >= end:
                return


class Troubles:
    """Says that the watch broke off, and that it goes on: each once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = ""

    def heard(self, trouble: str) -> None:
        """What the watch complains of now; empty while it works."""
        if trouble and not self._last:
            self._say(f"{trouble}; trying again")
        elif self._last and not trouble:
            self._say("the watch goes on")
        self._last = trouble
