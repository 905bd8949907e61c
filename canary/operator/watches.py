"""The watches of all kinds that releases use, and their caches."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from canary.errors import TransientError
from canary.interfaces import Key
from canary.kube.cache import Cache, Scope, without_managed_fields
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.reflector import ListWatchSource, Reflector
from canary.kube.timing import Stopper, Timing
from canary.kube.workloads.names import HOLD, annotations_of
from canary.operator.release_index import ROUTES

_log = logging.getLogger(__name__)

WATCHED = (RELEASES, DEPLOYMENTS, REPLICA_SETS, PODS, SERVICES, AUTOSCALERS, JOBS)

ChangeHandler = Callable[[Kind, Object | None, Object | None], None]


@dataclass
class Watches:
    """One reflector per kind and namespace; `namespaces` empty means the whole cluster.

    Kinds of routes that the cluster does not serve are left out of `kinds`.
    """

    source: ListWatchSource
    timing: Timing
    kinds: Sequence[Kind]
    namespaces: Sequence[str] = ()
    reflectors: list[Reflector] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            for namespace in self.namespaces or ("",):
                cache = Cache(Scope(kind, namespace), trim=_select_trim(kind))
                self.reflectors.append(Reflector(self.source, cache, Stopper(self.timing)))

    @property
    def caches(self) -> list[Cache]:
        """The cache of each watch."""
        return [reflector.cache for reflector in self.reflectors]

    @property
    def synced(self) -> bool:
        """Whether each cache has its first list."""
        return all(cache.synced.is_set() for cache in self.caches)

    @property
    def problems(self) -> list[str]:
        """Why caches may be out of date."""
        return [reflector.problem for reflector in self.reflectors if reflector.problem]

    @property
    def dead(self) -> list[str]:
        """Kinds of the watches whose thread has ended."""
        return [
            reflector.cache.scope.kind.plural
            for reflector in self.reflectors
            if not reflector.alive
        ]

    def start(self, changed: ChangeHandler) -> None:
        """Start all watches; `changed` is called in their threads with every change."""
        for reflector in self.reflectors:
            kind = reflector.cache.scope.kind
            reflector.cache.on_change(_bind_kind(changed, kind))
            reflector.start()

    def wait(self, seconds: float, stop: Callable[[], bool]) -> None:
        """Wait until all caches are synced.

        Raises the cause if a watch cannot start within `seconds`. A long list that goes on is no
        error: the API server may be busy, and a restart would only ask it again.
        """
        timing = self.timing
        end = timing.now() + seconds
        for reflector in self.reflectors:
            cache = reflector.cache
            while not cache.synced.wait(0.2) and not stop():
                if timing.now() > end and reflector.problem:
                    # List once more here: its error says what is wrong.
                    self.source.listing(cache.scope.kind, cache.scope.namespace, {})
                    what = cache.scope.kind.plural
                    raise TransientError(f"the watch of {what} has not started after {seconds:g} s")

    def stop(self, seconds: float) -> None:
        """End all watches; wait at most `seconds` for each."""
        for reflector in self.reflectors:
            if not reflector.stop(seconds):
                _log.warning("the watch of %s did not end", reflector.cache.scope.kind.plural)

    def keys(self) -> list[Key]:
        """Return all CanaryReleases, and those that only annotations on Deployments name."""
        found = {
            Key(_namespace_of(one), one["metadata"]["name"]) for one in self._list_all(RELEASES)
        }
        for one in self._list_all(DEPLOYMENTS):
            if (holder := annotations_of(one).get(HOLD)) is not None:
                found.add(Key(_namespace_of(one), holder))
        return sorted(found, key=lambda key: (key.namespace, key.name))

    def _list_all(self, kind: Kind) -> Iterable[Object]:
        for cache in self.caches:
            if cache.scope.kind == kind:
                yield from cache.list()


def _namespace_of(item: Object) -> str:
    return str(item["metadata"]["namespace"])


def kinds_served(served: Callable[[Kind], bool]) -> tuple[Kind, ...]:
    """Return the kinds to watch: of routes only those that the cluster serves."""
    return (*WATCHED, *(kind for kind in ROUTES if served(kind)))


def _select_trim(kind: Kind) -> Callable[[Object], Object] | None:
    # managedFields name the writer of a route's weights, and the operator's claims on autoscalers.
    if kind in ROUTES or kind == AUTOSCALERS:
        return None
    return _trim_pod if kind == PODS else without_managed_fields


def _trim_pod(pod: Object) -> Object:
    """Keep metadata, status and ports of a pod; the rest is large and unused."""
    spec: Mapping[str, list[Object]] = pod.get("spec") or {}
    ports = [
        {"name": one.get("name", ""), "ports": one.get("ports") or []}
        for one in spec.get("containers") or ()
    ]
    return {**without_managed_fields(pod), "spec": {"containers": ports}}


def _bind_kind(
    changed: ChangeHandler, kind: Kind
) -> Callable[[Object | None, Object | None], None]:
    def handle(old: Object | None, new: Object | None) -> None:
        changed(kind, old, new)

    return handle
