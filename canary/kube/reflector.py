"""A reflector: lists once, then watches, and keeps one Cache up to date in one thread.

After a time-out of the server, a lost connection or a restart of the server, the watch continues
from the last resourceVersion. When that version has expired (410) or the server reports an error of
its own, the reflector lists again.
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
from canary.kube.client import Compact, Listing, WatchEvent, keep_all
from canary.kube.objects import Kind
from canary.kube.timing import Stopper

_log = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
"""Seconds to wait after the first failure, and the longest wait after repeated failures."""
WATCH: Final = 300.0
"""Minimum duration of a watch in seconds; up to twice as long, so that not all end together."""


class OpenWatch(Protocol):
    """The events of one watch."""

    def __iter__(self) -> Iterator[WatchEvent]:
        """Yield events. Raises GoneError, ResponseLostError."""
        ...

    def interrupt(self) -> None:
        """End the iteration; called from another thread."""
        ...


class ListWatchSource(Protocol):
    """The source of a reflector: canary.kube.client.Client."""

    def listing(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], compact: Compact = keep_all
    ) -> Listing:
        """Return all objects, each as `compact` returns it, and the version to watch from."""
        ...

    def watch(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], since: str, seconds: float
    ) -> OpenWatch:
        """Watch from version `since`."""
        ...


class Reflector:
    """Keeps `cache` up to date, from `start` to `stop`.

    `RetryPolicy.quiet` of the client decides how soon a dead connection is detected.
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
        """Whether the reflector's thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the reflector's thread."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """End the watch; return whether the thread ended within `seconds`."""
        self._stopper.stop()
        if (watch := self._watch) is not None:
            watch.interrupt()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def run(self) -> None:
        """List and watch until stopped."""
        while not self._stopper.stopped:
            try:
                self._list_and_watch()
            except CanaryError as error:
                self._back_off(error)
            except Exception as error:  # noqa: BLE001  # otherwise the cache would go stale unnoticed
                _log.debug("a watch failed", exc_info=True)
                self._back_off(PermanentError(f"cannot process an event of the watch: {error!r}"))

    def _list_and_watch(self) -> None:
        scope = self.cache.scope
        if not self._version:
            listing = self._source.listing(
                scope.kind, scope.namespace, dict(scope.labels), self.cache.compact
            )
            self.cache.replace(listing.items, listing.version)
            self._version = listing.version
        began = self._stopper.timing.now()
        if self._follow_watch() == 0 and self._stopper.timing.now() - began < FIRST_DELAY:
            raise ResponseLostError("the watch ended immediately")

    def _follow_watch(self) -> int:
        """Process one watch until it ends; return the number of its events."""
        scope = self.cache.scope
        seconds = WATCH * (1 + random.random())  # noqa: S311  # not for secrets
        watch = self._source.watch(
            scope.kind, scope.namespace, dict(scope.labels), self._version, seconds
        )
        self._watch = watch
        if self._stopper.stopped:  # stop() may have run before the watch was set
            watch.interrupt()
        self._problem = ""
        events = 0
        for event in watch:
            self._apply_event(event)
            events += 1
        return events

    def _apply_event(self, event: WatchEvent) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self.cache.apply_update(event.object)
            case "DELETED":
                self.cache.apply_deletion(event.object)
            case _:
                self.cache.advance(event.object["metadata"]["resourceVersion"])
        self._version = event.object["metadata"]["resourceVersion"]
        self._failures = 0

    def _back_off(self, error: CanaryError) -> None:
        if self._stopper.stopped:
            return
        broken = isinstance(error, ResponseLostError | UnreachableError | BusyError)
        if not broken or isinstance(error, ServerFailedError):
            self._version = ""  # expired, or an error of the server: list again
        if isinstance(error, GoneError) and self._failures == 0:
            self._failures = 1
            return
        if str(error) != self._problem:
            _log.warning("%s; retrying", error)
        self._problem = str(error)
        self._failures += 1
        self._stopper.sleep(backoff_delay(self._failures, error))


def backoff_delay(failures: int, error: CanaryError) -> float:
    """Return the seconds before a retry: doubling, with jitter, at least what the server asks."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))
    minimum = error.retry_after if isinstance(error, TransientError) else 0.0
    return max(minimum if minimum > 1 else 0.0, longest * random.uniform(0.5, 1.0))  # noqa: S311
