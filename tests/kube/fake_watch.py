"""Watches on the API server in memory."""

import threading
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

from canary.errors import CanaryError
from canary.kube.client import WatchEvent
from canary.kube.objects import Kind, Object


@dataclass(frozen=True)
class RecordedChange:
    """One step of history."""

    version: int
    kind: Kind
    old: Object | None
    new: Object | None


class ObjectStore(Protocol):
    """What a watch reads."""

    changed: threading.Condition
    history: list[RecordedChange]


class FakeWatch:
    """The changes of one kind since a version."""

    def __init__(
        self,
        cluster: ObjectStore,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str],
        since: int,
    ) -> None:
        self.bookmarked = False
        self._cluster = cluster
        self._kind = kind
        self._scope = (namespace, labels)
        self._since = since
        self._ended = False
        self._last = 0
        """The version at which it ended."""
        self._error: CanaryError | None = None

    def __iter__(self) -> Iterator[WatchEvent]:
        while (event := self._next()) is not None:
            yield event

    def interrupt(self) -> None:
        """Ends it."""
        self.end(None)

    def end(self, error: CanaryError | None) -> None:
        """Ends it, by raising `error` where there is one."""
        with self._cluster.changed:
            if not self._ended:
                self._last = max((change.version for change in self._cluster.history), default=0)
            self._ended, self._error = True, error
            self._cluster.changed.notify_all()

    def _next(self) -> WatchEvent | None:
        cluster = self._cluster
        with cluster.changed:
            while True:
                for change in cluster.history:
                    if self._since < change.version and not self._beyond(change):
                        self._since = change.version
                        if event := self._event(change):
                            return event
                if self.bookmarked:
                    self.bookmarked = False
                    metadata = {"resourceVersion": str(self._since)}
                    return WatchEvent("BOOKMARK", {"metadata": metadata})
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                cluster.changed.wait(10)

    def _beyond(self, change: RecordedChange) -> bool:
        return self._ended and change.version > self._last

    def _event(self, change: RecordedChange) -> WatchEvent | None:
        if change.kind != self._kind:
            return None
        was = change.old is not None and matches(change.old, *self._scope)
        is_ = change.new is not None and matches(change.new, *self._scope)
        if is_:
            return WatchEvent("MODIFIED" if was else "ADDED", deepcopy(change.new or {}))
        return WatchEvent("DELETED", deepcopy(change.new or change.old or {})) if was else None


def matches(item: Object, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a list of this namespace ("" for all) with these labels has the item."""
    metadata = item["metadata"]
    here = metadata.get("labels") or {}
    return namespace in {"", metadata.get("namespace", "")} and labels.items() <= here.items()
