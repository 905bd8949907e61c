"""List once, then watch for ever: keeps one Cache true, in one thread.

The watch goes on from the last resourceVersion after the server's time-out, a broken connection
or a restart; it lists again when that version is gone (410) or the server reports an error.
"""

import logging
import random
import threading
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from canary.errors import CanaryError, PermanentError, TransientError
from canary.kube.api_errors import (
    BusyError,
    GoneError,
    ResponseLostError,
    ServerFailedError,
    UnreachableError,
)
from canary.kube.cache import Cache
from canary.kube.client import Listing, WatchEvent
from canary.kube.objects import Kind
from canary.kube.timing import Stopper

_log = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
"""Seconds to wait after the first failure, and after many."""
WATCH: Final = 300.0
"""Seconds that we ask a watch to last; twice that at most, so that not all end at once."""


class OpenWatch(Protocol):
    """The events of one watch."""

    def __iter__(self) -> Iterator[WatchEvent]:
        """Yields events. Raises GoneError, LostError."""
        ...

    def interrupt(self) -> None:
        """Ends the iteration, from another thread."""
        ...


class ListWatchSource(Protocol):
    """Where a reflector reads: canary.kube.client.Client."""

    def listing(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Listing:
        """All objects, and the version from which to watch."""
        ...

    def watch(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], since: str, seconds: float
    ) -> OpenWatch:
        """What happens after version `since`."""
        ...


class Reflector:
    """Keeps `cache` as the server has it, from `start` to `stop`.

    The client's `Policy.quiet` decides how soon a dead connection is noticed.
    """

    def __init__(self, source: ListWatchSource, cache: Cache, stopper: Stopper) -> None:
        self.cache = cache
        self._source = source
        self._stopper = stopper
        self._watch: OpenWatch | None = None
        self._version = ""
        self._failures = 0
        self._problem = ""
        self._thread = threading.Thread(
            target=self.run, name=f"watch {cache.scope.kind.plural}", daemon=True
        )

    @property
    def problem(self) -> str:
        """Why the cache may be out of date; empty while the watch works."""
        return self._problem

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Ends the watch; whether its thread ended within so many seconds."""
        self._stopper.stop()
        if (watch := self._watch) is not None:
            watch.interrupt()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Lists and watches until stopped."""
        while not self._stopper.stopped:
            try:
                self._round()
            except CanaryError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001  # a cache that nobody feeds is a silent lie
                _log.debug("a watch failed", exc_info=True)
                self._failed(PermanentError(f"cannot understand a watch: {error!r}"))

    def _round(self) -> None:
        scope = self.cache.scope
        if not self._version:
            listing = self._source.listing(scope.kind, scope.namespace, dict(scope.labels))
            self.cache.restart(listing.items, listing.version)
            self._version = listing.version
        began = self._stopper.timing.now()
        if self._follow() == 0 and self._stopper.timing.now() - began < FIRST_DELAY:
            raise ResponseLostError("the watch ended as soon as it began")

    def _follow(self) -> int:
        """Events of one watch, until it ends."""
        scope = self.cache.scope
        seconds = WATCH * (1 + random.random())  # noqa: S311  # not for secrets
        watch = self._source.watch(
            scope.kind, scope.namespace, dict(scope.labels), self._version, seconds
        )
        self._watch = watch
        if self._stopper.stopped:  # stop() may have looked for the watch before it was there
            watch.interrupt()
        self._problem = ""
        events = 0
        for event in watch:
            self._take(event)
            events += 1
        return events

    def _take(self, event: WatchEvent) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self.cache.seen(event.object)
            case "DELETED":
                self.cache.gone(event.object)
            case _:
                self.cache.passed(event.object["metadata"]["resourceVersion"])
        self._version = event.object["metadata"]["resourceVersion"]
        self._failures = 0

    def _failed(self, error: CanaryError) -> None:
        if self._stopper.stopped:
            return
        broken = isinstance(error, ResponseLostError | UnreachableError | BusyError)
        if not broken or isinstance(error, ServerFailedError):
            self._version = ""  # gone, or the server's own mistake: what we know may be wrong
        if isinstance(error, GoneError) and self._failures == 0:
            self._failures = 1
            return
        if str(error) != self._problem:
            _log.warning("%s; trying again", error)
        self._problem = str(error)
        self._failures += 1
        self._stopper.sleep(backoff_delay(self._failures, error))


def backoff_delay(failures: int, error: CanaryError) -> float:
    """Seconds before trying again: doubling, with jitter, never before the server wants it."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))
    asked = error.retry_after if isinstance(error, TransientError) else 0.0
    return max(asked if asked > 1 else 0.0, longest * random.uniform(0.5, 1.0))  # noqa: S311
