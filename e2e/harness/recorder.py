"""What the API server says over time, seen by an observer that is not the operator.

The weight in the route, the release's status, the endpoints of every Service of the namespace, and
whether the target rolls.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

from canary.api import Intent
from canary.clock import now
from canary.errors import CanaryError
from canary.kube.client import Client, Watch
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, RELEASES, Kind, Object
from canary.kube.transport import load_transport
from e2e.harness.auth import NAME

Status = dict[str, Any]
T = TypeVar("T")
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CANARY = f"{NAME}-canary"
"""The canary's Deployment and Service; its pods' names begin so."""


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """What was seen, and when (seconds since the epoch)."""

    at: float
    what: T


def canary_weight(route: Object) -> int:
    """Percent of the traffic that the canary gets."""
    refs: list[Object] = route["spec"]["rules"][0]["backendRefs"]
    weights: dict[str, int] = {ref["name"]: ref.get("weight", 1) for ref in refs}
    return round(100 * weights.get(CANARY, 0) / (sum(weights.values()) or 1))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Names of the pods in one Service's EndpointSlices; requests go to those that are ready."""

    pods: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()


def endpoints(pieces: Iterable[Object]) -> Endpoints:
    """The endpoints in all EndpointSlices of one Service."""
    found = [one for piece in pieces for one in piece.get("endpoints") or []]
    named = [(one["targetRef"]["name"], one.get("conditions") or {}) for one in found]
    ready = frozenset(name for name, conditions in named if conditions.get("ready"))
    return Endpoints(frozenset(name for name, _ in named), ready)


@dataclass
class ClusterRecorder:
    """Everything seen so far; `wait` sleeps until something new makes it true."""

    weights: list[Sample[int]] = field(default_factory=list)
    statuses: list[Sample[Status]] = field(default_factory=list)
    endpoints: dict[str, list[Sample[Endpoints]]] = field(default_factory=dict)
    """By Service."""
    paused: list[Sample[bool]] = field(default_factory=list)
    """Whether the target's Deployment is paused."""
    _slices: dict[str, dict[str, Object]] = field(default_factory=dict)
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
            match obj["kind"]:
                case RELEASES.kind:
                    self.statuses.append(Sample(now(), obj.get("status") or {}))
                case HTTP_ROUTES.kind if obj["metadata"]["name"] == NAME:
                    _append(self.weights, canary_weight(obj))
                case DEPLOYMENTS.kind if obj["metadata"]["name"] == NAME:
                    _append(self.paused, bool(obj["spec"].get("paused")))
                case ENDPOINT_SLICES.kind:
                    self._add_slice(obj)
                case _:
                    pass
            self._changed.notify_all()

    def _add_slice(self, obj: Object) -> None:
        service = obj["metadata"]["labels"]["kubernetes.io/service-name"]
        pieces = self._slices.setdefault(service, {})
        pieces[obj["metadata"]["name"]] = obj
        _append(self.endpoints.setdefault(service, []), endpoints(pieces.values()))

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

    def ready(self, service: str) -> frozenset[str]:
        """The pods that get the Service's requests now."""
        frames = self.endpoints.get(service)
        return frames[-1].what.ready if frames else frozenset()

    def ready_at(self, service: str, at: float) -> frozenset[str]:
        """The pods that got the Service's requests then (seconds since the epoch)."""
        frames = [one for one in self.endpoints.get(service, ()) if one.at <= at]
        return frames[-1].what.ready if frames else frozenset()

    def misled(self) -> set[str]:
        """Services other than the canary's own of which a canary pod ever was an endpoint."""
        return {
            service
            for service, frames in self.endpoints.items()
            for frame in frames
            if service != CANARY and any(pod.startswith(f"{CANARY}-") for pod in frame.what.pods)
        }

    def seconds_with_weight_and_no_pod(self) -> list[float]:
        """For each time at which the canary had weight and no ready endpoint: how long."""
        changes = [(one.at, 0, one.what > 0) for one in self.weights]
        empty = self.endpoints.get(CANARY, ())
        changes += [(one.at, 1, not one.what.ready) for one in empty]
        state, began, spans = [False, True], 0.0, []
        for at, which, holds in sorted(changes):
            before = all(state)
            state[which] = holds
            if all(state) and not before:
                began = at
            if before and not all(state):
                spans.append(at - began)
        return spans

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
def record_cluster(namespace: str) -> Iterator[ClusterRecorder]:
    """Watches the namespace's route and release while the block runs."""
    film, client = ClusterRecorder(), Client(load_transport())
    kinds = (HTTP_ROUTES, RELEASES, ENDPOINT_SLICES, DEPLOYMENTS)
    cameras = [_WatchThread(client, kind, namespace, film.add) for kind in kinds]
    for camera in cameras:
        camera.start()
    try:
        yield film
    finally:
        for camera in cameras:
            camera.stop()
        client.close()


def _append(frames: list[Sample[T]], what: T) -> None:
    """One frame more, where something changed."""
    if not frames or frames[-1].what != what:
        frames.append(Sample(now(), what))


class _WatchThread(Thread):
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
            elif event.type == "DELETED" and self._kind == ENDPOINT_SLICES:
                self._see(event.object | {"endpoints": []})
