"""Reads the objects that a release references, from a cluster or from manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from canary.api import CanaryRelease, Spec
from canary.api.traffic import Router
from canary.discovery.manifest_reader import ObjectReader, list_objects
from canary.discovery.selector_conflicts import SELECTING_KINDS
from canary.discovery.topology import (
    ServiceRoute,
    find_foreign_routes,
    find_outdated_routes,
    read_service_routes,
)
from canary.discovery.workload_risks import CLAIMS, find_other_controllers, find_scaled_object
from canary.errors import NotFoundError
from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.routers.dialect import Dialect
from canary.routers.names import Names
from canary.routers.registry import dialect_of


@dataclass(frozen=True, slots=True)
class ReferencedRoute:
    """A route that a release references."""

    router: Router
    dialect: Dialect
    route: Object | None
    path: tuple[str | int, ...]
    """The field that references it."""


@dataclass(frozen=True, slots=True)
class ReferencedObjects:
    """The objects that a release references, and those around its target."""

    release: CanaryRelease
    target: Object | None
    service: Object | None
    services: tuple[Object, ...]
    """All Services of the namespace."""
    dialect: Dialect | None
    """None without a router."""
    route: Object | None
    """The first referenced route; None if it does not exist."""
    routes: tuple["ReferencedRoute", ...] = ()
    """All referenced routes."""
    service_routes: tuple[ServiceRoute, ...] = ()
    """All routes of the namespace that send traffic to the Service."""
    elsewhere: tuple[str, ...] = ()
    """Routes of other namespaces that send traffic to the Service."""
    outdated: tuple[str, ...] = ()
    """Routes to the Service in an API group that Traefik no longer reads."""
    other_controllers: tuple[str, ...] = ()
    """Other controllers' objects that scale the target, such as `Canary.flagger.app auth`."""
    scaled_object: str | None = None
    """KEDA's ScaledObject that scales the target."""
    claims: Mapping[str, Object] = field(default_factory=dict)
    """PersistentVolumeClaims of the namespace, by name."""
    neighbors: tuple[Object, ...] = ()
    """Objects that may select pods by labels."""
    lookup_errors: tuple[str, ...] = ()
    """Error messages of failed lookups."""
    from_cluster: bool = False
    """Read from a cluster: an object that is missing here does not exist."""

    @property
    def spec(self) -> Spec:
        """The spec of the release."""
        return self.release.spec

    @property
    def names(self) -> Names:
        """The names of Service, target and the weighted rule of the route."""
        target = self.spec.target.name
        service = self.spec.service.name if self.spec.service else target
        return Names(
            self.release.metadata.namespace, service, target, weighted_rule_name(self.spec)
        )


def weighted_rule_name(spec: Spec) -> str | None:
    """Return the name of the weighted rule of the first route; None: all rules."""
    return spec.traffic.each[0].part if spec.traffic.each else None


def read_referenced_objects(
    release: CanaryRelease, reader: ObjectReader, *, from_cluster: bool
) -> ReferencedObjects:
    """Read everything. Raises TransientError if the cluster does not respond."""
    namespace, spec = release.metadata.namespace, release.spec
    routes = tuple(_read_routes(release, reader))
    errors: list[str] = []
    neighbors: list[Object] = []
    for kind in SELECTING_KINDS:
        found, trouble = list_objects(reader, kind, namespace)
        neighbors += found
        errors += [trouble] if trouble else []
    service = spec.service.name if spec.service else spec.target.name
    return ReferencedObjects(
        release=release,
        target=reader.get(DEPLOYMENTS, namespace, spec.target.name),
        service=reader.get(SERVICES, namespace, service),
        services=tuple(list_objects(reader, SERVICES, namespace)[0]),
        dialect=routes[0].dialect if routes else None,
        route=routes[0].route if routes else None,
        routes=routes,
        service_routes=read_service_routes(reader, Names(namespace, service, spec.target.name))
        if routes
        else (),
        elsewhere=find_foreign_routes(reader, namespace, service) if routes else (),
        outdated=find_outdated_routes(reader, namespace, service) if routes else (),
        other_controllers=find_other_controllers(reader, namespace, spec.target.name),
        scaled_object=find_scaled_object(reader, namespace, spec.target.name),
        claims={one["metadata"]["name"]: one for one in list_objects(reader, CLAIMS, namespace)[0]},
        neighbors=tuple(neighbors),
        lookup_errors=tuple(errors),
        from_cluster=from_cluster,
    )


def _read_routes(release: CanaryRelease, reader: ObjectReader) -> Iterator[ReferencedRoute]:
    traffic, namespace = release.spec.traffic, release.metadata.namespace
    for index, router in enumerate(traffic.each):
        members = {"gatewayAPI": router.gateway_api, "istio": router.istio}
        member = next((name for name, one in members.items() if one is not None), "traefik")
        path = ("spec", "traffic", "routes", index) if traffic.routes else ("spec", "traffic")
        dialect = dialect_of(router)
        yield ReferencedRoute(router, dialect, _read_route(reader, dialect, namespace, router.name),
                    (*path, member))  # fmt: skip


def _read_route(reader: ObjectReader, dialect: Dialect, namespace: str, name: str) -> Object | None:
    """Return None also if the cluster does not serve the kind."""
    try:
        return reader.get(dialect.kind, namespace, name)
    except NotFoundError:
        return None
