"""An index from objects to the releases that use them: by owner, target and route."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canary.interfaces import Key
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    GRPC_ROUTES,
    HTTP_ROUTES,
    JOBS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    TRAEFIK_SERVICES,
    VIRTUAL_SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.names import ROLE, labels_of

ROUTES = (HTTP_ROUTES, GRPC_ROUTES, VIRTUAL_SERVICES, TRAEFIK_SERVICES)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A reference to an object that a release uses; the object need not exist."""

    kind: Kind
    namespace: str
    name: str


class ReleaseIndex:
    """Maps objects to releases. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[ObjectRef, set[Key]] = defaultdict(set)
        self._refs: dict[Key, frozenset[ObjectRef]] = {}

    def update(self, release: Object | None, key: Key) -> None:
        """Index the objects of this release; None removes it."""
        fresh = frozenset(list_referenced_objects(release)) if release else frozenset[ObjectRef]()
        with self._lock:
            old = self._refs.pop(key, frozenset())
            if fresh:
                self._refs[key] = fresh
            for ref in old - fresh:
                self._keys[ref].discard(key)
                if not self._keys[ref]:
                    del self._keys[ref]
            for ref in fresh - old:
                self._keys[ref].add(key)

    def find_releases(self, kind: Kind, item: Object) -> frozenset[Key]:
        """Return the releases that a change of this object may affect."""
        namespace = item["metadata"].get("namespace", "")
        owners = frozenset(
            Key(namespace, owner["name"])
            for owner in item["metadata"].get("ownerReferences") or ()
            if owner["kind"] == RELEASES.kind
        )
        with self._lock:
            found = (self._keys.get(ref, ()) for ref in _list_refs(kind, namespace, item))
            return owners.union(*found)


def list_referenced_objects(release: Object) -> Iterator[ObjectRef]:
    """Yield the objects that a release uses; its spec may be invalid."""
    namespace, spec = release["metadata"]["namespace"], release.get("spec") or {}
    target = str(_get_mapping(spec, "target").get("name", ""))
    service = str(_get_mapping(spec, "service").get("name", target))
    for kind in (DEPLOYMENTS, SERVICES):
        yield ObjectRef(kind, namespace, f"{target}-canary")
    yield ObjectRef(DEPLOYMENTS, namespace, target)
    yield ObjectRef(SERVICES, namespace, service)
    yield ObjectRef(SERVICES, namespace, "")  # Any Service may start to select canary pods.
    traffic = _get_mapping(spec, "traffic")
    for one in (traffic, *_list_items(traffic, "routes")):
        yield from (ObjectRef(kind, namespace, name) for kind, name in _list_routes(one))


def _list_routes(part: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    """Yield kind and name of the routes in `traffic`, or in an entry of its `routes`."""
    gateway = _get_mapping(part, "gatewayAPI")
    kind = GRPC_ROUTES if gateway.get("kind") == GRPC_ROUTES.kind else HTTP_ROUTES
    routes = (
        (kind, gateway.get("name")),
        (VIRTUAL_SERVICES, _get_mapping(part, "istio").get("virtualService")),
        (TRAEFIK_SERVICES, _get_mapping(part, "traefik").get("traefikService")),
    )
    yield from ((of, str(name)) for of, name in routes if name)


def _list_items(part: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = part.get(name)
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def _get_mapping(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = spec.get(name)
    return found if isinstance(found, dict) else {}


def _list_refs(kind: Kind, namespace: str, item: Object) -> Iterator[ObjectRef]:
    """Yield the references under which releases index this object."""
    if kind == RELEASES:  # Another release may have the same target.
        target = str(_get_mapping(item.get("spec") or {}, "target").get("name", ""))
        yield ObjectRef(DEPLOYMENTS, namespace, target)
    elif kind in {DEPLOYMENTS, SERVICES, *ROUTES}:
        yield ObjectRef(kind, namespace, item["metadata"]["name"])
        if kind == SERVICES and ROLE not in labels_of(item):
            yield ObjectRef(kind, namespace, "")
    elif kind == AUTOSCALERS:
        name = str(_get_mapping(item.get("spec") or {}, "scaleTargetRef").get("name", ""))
        yield ObjectRef(DEPLOYMENTS, namespace, name)
    elif kind in {REPLICA_SETS, PODS, JOBS}:
        for owner in item["metadata"].get("ownerReferences") or ():
            yield from _refs_of_owner(owner, namespace)


def _refs_of_owner(owner: Mapping[str, Any], namespace: str) -> Iterator[ObjectRef]:
    """Yield the owning Deployment; a ReplicaSet's name is its Deployment's and a hash."""
    if owner["kind"] == DEPLOYMENTS.kind:
        yield ObjectRef(DEPLOYMENTS, namespace, owner["name"])
    elif owner["kind"] == REPLICA_SETS.kind:
        yield ObjectRef(DEPLOYMENTS, namespace, owner["name"].rpartition("-")[0])
