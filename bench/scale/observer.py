"""Watches releases, Deployments and routes, and records when each of them got somewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from canary.clock import now
from canary.kube.cache import Cache, Scope
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, RELEASES, Kind, Object
from canary.kube.reflector import Reflector
from canary.kube.timing import Stopper, SystemTiming

Name = tuple[str, str]
"""Namespace and name."""


@dataclass
class Observer:
    """Times are seconds since the epoch, as the events arrived here."""

    prefix: str
    """Of the observed namespaces."""
    ready: dict[Name, float] = field(default_factory=dict)
    """When all replicas of the Deployment were ready for the first time."""
    at_rest: dict[Name, float] = field(default_factory=dict)
    """When the release was at rest for the first time: it had adopted its Deployment."""
    phases: dict[Name, str] = field(default_factory=dict)
    because: dict[Name, str] = field(default_factory=dict)
    """The reason of the phase."""
    weights: dict[Name, int] = field(default_factory=dict)
    """The canary's weight in the route."""
    withdrawn: dict[Name, float] = field(default_factory=dict)
    """When the weight fell to 0."""
    judged_until: dict[Name, float] = field(default_factory=dict)
    """Of the first status that says that the release has failed."""
    reasons: dict[Name, str] = field(default_factory=dict)
    """Why it has failed."""

    def reset(self) -> None:
        """Forget what ended before."""
        for kept in (self.withdrawn, self.judged_until, self.reasons):
            kept.clear()

    def see(self, kind: Kind, new: Object | None) -> None:
        """Record an object."""
        if new is None or not new["metadata"]["namespace"].startswith(f"{self.prefix}-"):
            return
        name = new["metadata"]["namespace"], new["metadata"]["name"]
        if kind == RELEASES:
            self._see_release(name, new.get("status") or {})
        elif kind == HTTP_ROUTES:
            self._see_route(name, new)
        elif (new.get("status") or {}).get("readyReplicas", 0) >= new["spec"]["replicas"]:
            self.ready.setdefault(name, now())

    def _see_release(self, name: Name, status: Object) -> None:
        self.phases[name] = status.get("phase", "")
        self.because[name] = status.get("reason", "")
        if status.get("phase") in {"Ready", "RolledBack"}:
            self.at_rest.setdefault(name, now())
        failed = (status.get("release") or {}).get("failed")
        if failed and name not in self.judged_until:
            self.judged_until[name] = float(status.get("judgedUntil") or 0.0)
            self.reasons[name] = failed

    def _see_route(self, name: Name, route: Object) -> None:
        refs = route["spec"]["rules"][0]["backendRefs"]
        weight = sum(one.get("weight", 1) for one in refs if one["name"].endswith("-canary"))
        if weight == 0 and self.weights.get(name, 0) > 0:
            self.withdrawn[name] = now()
        self.weights[name] = weight


@contextmanager
def observing(client: Client, prefix: str) -> Iterator[Observer]:
    """Observe the fleet with this prefix while the block runs."""
    observer = Observer(prefix)
    watches = []
    for kind in (RELEASES, DEPLOYMENTS, HTTP_ROUTES):
        cache = Cache(Scope(kind))
        cache.on_change(partial(_tell, observer, kind))
        watches.append(Reflector(client, cache, Stopper(SystemTiming())))
    for watch in watches:
        watch.start()
    try:
        yield observer
    finally:
        for watch in watches:
            watch.stop(2.0)


def _tell(observer: Observer, kind: Kind, _: Object | None, new: Object | None) -> None:
    observer.see(kind, new)
