"""What the API server says over time, logged by an observer that is not the operator.

It watches routes, CanaryReleases, Services, EndpointSlices, Deployments, ReplicaSets and pods of all
namespaces of the run, past every proxy, and keeps each event with the time at which it was seen.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Event, Thread

from canary.clock import now
from canary.errors import CanaryError
from canary.kube.client import Client, Watch
from canary.kube.objects import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.transport import load_transport
from e2e.harness.recorder import ENDPOINT_SLICES

WATCHED = (HTTP_ROUTES, RELEASES, SERVICES, ENDPOINT_SLICES, DEPLOYMENTS, REPLICA_SETS, PODS)
_RETRY = 0.3


@dataclass(frozen=True, slots=True)
class Observation:
    """One event of a watch, or one object of a list after a watch was lost."""

    at: float
    """When it was seen (seconds since the epoch)."""
    deleted: bool
    obj: Object

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.obj["kind"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.obj["metadata"]["name"])


@dataclass
class ClusterObserver:
    """Everything seen so far, by namespace; `wait` sleeps until something new makes it true."""

    prefix: str
    """Namespaces whose names begin so are observed."""
    logs: dict[str, list[Observation]] = field(default_factory=dict)
    _changed: Condition = field(default_factory=Condition)

    def add(self, obj: Object, *, deleted: bool = False) -> None:
        """Log an object as a watch brought it."""
        namespace = str(obj["metadata"].get("namespace", ""))
        if not namespace.startswith(self.prefix):
            return
        with self._changed:
            self.logs.setdefault(namespace, []).append(Observation(now(), deleted, obj))
            self._changed.notify_all()

    def since(self, namespace: str, start: float) -> Sequence[Observation]:
        """Return what was seen of a namespace from this time on (seconds since the epoch)."""
        with self._changed:
            return [one for one in self.logs.get(namespace, ()) if one.at >= start]

    def latest(self, namespace: str, kind: Kind, name: str) -> Object | None:
        """Return the object as last seen; None if it was deleted or never seen."""
        with self._changed:
            for one in reversed(self.logs.get(namespace, ())):
                if (one.kind, one.name) == (kind.kind, name):
                    return None if one.deleted else one.obj
        return None

    def wait(self, what: str, holds: Callable[[], bool], seconds: float) -> float:
        """Return when it held (seconds since the epoch). Raises TimeoutError."""
        end = now() + seconds
        while not holds():
            with self._changed:
                self._changed.wait(0.5)
            if now() > end:
                raise TimeoutError(f"{what}: not within {seconds:g} s")
        return now()


@contextmanager
def observe_cluster(prefix: str) -> Iterator[ClusterObserver]:
    """Observe these namespaces while the block runs."""
    observer, client = ClusterObserver(prefix), Client(load_transport())
    threads = [_WatchThread(client, kind, observer) for kind in WATCHED]
    for thread in threads:
        thread.start()
    try:
        yield observer
    finally:
        for thread in threads:
            thread.stop()
        client.close()


class _WatchThread(Thread):
    """One watch of one kind, begun again when it ends; what went meanwhile counts as deleted."""

    def __init__(self, client: Client, kind: Kind, observer: ClusterObserver) -> None:
        super().__init__(daemon=True)
        self._client, self._kind, self._observer = client, kind, observer
        self._known: dict[str, Object] = {}
        self._watch: Watch | None = None
        self._over = Event()

    def run(self) -> None:
        """Watch until stopped."""
        while not self._over.is_set():
            with suppress(CanaryError):
                self._follow()
            self._over.wait(_RETRY)

    def stop(self) -> None:
        """End the watch."""
        self._over.set()
        if self._watch is not None:
            self._watch.interrupt()
        self.join(timeout=10)

    def _follow(self) -> None:
        listing = self._client.listing(self._kind, "", {})
        found = {item["metadata"]["uid"]: item for item in listing.items}
        for uid in self._known.keys() - found.keys():
            self._observer.add(self._known.pop(uid), deleted=True)
        for item in found.values():
            self._see(item)
        self._watch = self._client.watch(self._kind, "", {}, listing.version, 300)
        for event in self._watch:
            if event.type == "DELETED":
                self._known.pop(event.object["metadata"]["uid"], None)
                self._observer.add(event.object, deleted=True)
            elif event.type in ("ADDED", "MODIFIED"):
                self._see(event.object)

    def _see(self, obj: Object) -> None:
        uid, version = obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
        before = self._known.get(uid)
        self._known[uid] = obj
        if before is None or before["metadata"]["resourceVersion"] != version:
            self._observer.add(obj)
