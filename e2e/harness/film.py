"""What the API server says over time: the weight in the route, the release's status."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

from canary.api import Intent
from canary.errors import CanaryError
from canary.kube.client import Client, Watch
from canary.kube.objects import HTTP_ROUTES, RELEASES, Kind, Object
from canary.kube.transport import load
from e2e.harness.auth import NAME
from e2e.harness.kubectl import now

Status = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Frame(Generic[T]):
    """What was seen, and when (seconds since the epoch)."""

    at: float
    what: T


def canary_weight(route: Object) -> int:
    """Percent of the traffic that the canary gets."""
    refs: list[Object] = route["spec"]["rules"][0]["backendRefs"]
    weights: dict[str, int] = {ref["name"]: ref.get("weight", 1) for ref in refs}
    return round(100 * weights.get(f"{NAME}-canary", 0) / (sum(weights.values()) or 1))


@dataclass
class Film:
    """Everything seen so far; `wait` sleeps until something new makes it true."""

    weights: list[Frame[int]] = field(default_factory=list)
    statuses: list[Frame[Status]] = field(default_factory=list)
    _changed: Condition = field(default_factory=Condition)

    @property
    def weight(self) -> int:
        """The canary's weight now."""
        return self.weights[-1].what if self.weights else 0

    @property
    def status(self) -> Status:
        """The release's status now."""
        return self.statuses[-1].what if self.statuses else {}

    def add(self, obj: Object) -> None:
        """One object as a watch brought it."""
        with self._changed:
            if obj["kind"] == RELEASES.kind:
                self.statuses.append(Frame(now(), obj.get("status") or {}))
            elif not self.weights or canary_weight(obj) != self.weight:
                self.weights.append(Frame(now(), canary_weight(obj)))
            self._changed.notify_all()

    def wait(self, what: str, holds: Callable[[], bool], seconds: float) -> float:
        """Returns when it held (seconds since the epoch).

        Raises:
            TimeoutError: it did not in time; the message has the last status.
        """
        with self._changed:
            if not self._changed.wait_for(holds, seconds):
                raise TimeoutError(f"{what}: not within {seconds:g} s; {self.said()}")
            return now()

    def said(self) -> str:
        """The last status in a few lines."""
        keys = ("phase", "reason", "message", "intent", "step", "weight", "verdict")
        lines = [f"weight {self.weight}, status " + str({k: self.status.get(k) for k in keys})]
        metrics = self.status.get("analysis") or ()
        lines += [f"{one['name']}: {one.get('verdict')}, {one.get('message')}" for one in metrics]
        return "\n".join(lines)

    def first_weight(self) -> float:
        """When the canary first got traffic."""
        return next(frame.at for frame in self.weights if frame.what > 0)

    def back_to_zero(self) -> float:
        """When it last stopped getting any."""
        pairs = zip(self.weights, self.weights[1:], strict=False)
        return [after.at for before, after in pairs if before.what and not after.what][-1]

    def failing_since(self) -> Status:
        """The first status that says that it is being rolled back."""
        rolling = (one.what for one in self.statuses if one.what.get("intent") == Intent.ROLL_BACK)
        return next(rolling)


@contextmanager
def filming(namespace: str) -> Iterator[Film]:
    """Watches the namespace's route and release while the block runs."""
    film, client = Film(), Client(load())
    cameras = [_Camera(client, kind, namespace, film.add) for kind in (HTTP_ROUTES, RELEASES)]
    for camera in cameras:
        camera.start()
    try:
        yield film
    finally:
        for camera in cameras:
            camera.stop()
        client.close()


class _Camera(Thread):
    """One watch, begun again when it ends."""

    def __init__(
        self, client: Client, kind: Kind, namespace: str, see: Callable[[Object], None]
    ) -> None:
        super().__init__(daemon=True)
        self._client, self._kind, self._namespace, self._see = client, kind, namespace, see
        self._watch: Watch | None = None
        self._over = False

    def run(self) -> None:
        """Until stopped."""
        while not self._over:
            with suppress(CanaryError):
                self._follow()

    def stop(self) -> None:
        """Ends it."""
        self._over = True
        if self._watch is not None:
            self._watch.interrupt()
        self.join(timeout=10)

    def _follow(self) -> None:
        listing = self._client.listing(self._kind, self._namespace, {})
        for item in listing.items:
            self._see(item)
        self._watch = self._client.watch(self._kind, self._namespace, {}, listing.version, 300)
        for event in self._watch:
            if event.type in ("ADDED", "MODIFIED"):
                self._see(event.object)
