"""What a release names, read from a cluster or from the manifests beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from canary.api import CanaryRelease, Spec
from canary.api.traffic import Router
from canary.discovery.manifest_reader import Reader, listed
from canary.discovery.selector_conflicts import WATCHED
from canary.discovery.topology import Way, outdated_routes, routes_elsewhere, ways_to
from canary.discovery.workload_risks import CLAIMS, other_controllers, scaled_object
from canary.errors import NotFoundError
from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.routers.dialect import Dialect
from canary.routers.names import Names
from canary.routers.registry import dialect_of


@dataclass(frozen=True, slots=True)
class Named:
    """A route that a release names."""

    router: Router
    dialect: Dialect
    route: Object | None
    path: tuple[str | int, ...]
    """Where the release names it."""


@dataclass(frozen=True, slots=True)
class Scenery:
    """The objects that a release names; None for what is not there."""

    release: CanaryRelease
    target: Object | None
    service: Object | None
    services: tuple[Object, ...]
    """All of the namespace that were seen."""
    dialect: Dialect | None
    """None: there is no router."""
    route: Object | None
    """The first route that is named; None also where it is not there."""
    routes: tuple["Named", ...] = ()
    """All routes that are named."""
    ways: tuple[Way, ...] = ()
    """All routes of the namespace that send to the Service."""
    elsewhere: tuple[str, ...] = ()
    """Routes of other namespaces that send to it."""
    outdated: tuple[str, ...] = ()
    """Routes to the Service in an API group that is too old."""
    other_controllers: tuple[str, ...] = ()
    """Objects of other controllers that scale the target, such as `Canary.flagger.app auth`."""
    scaled_object: str | None = None
    """KEDA's ScaledObject that scales the target."""
    claims: Mapping[str, Object] = field(default_factory=dict)
    """PersistentVolumeClaims of the namespace, by name."""
    neighbours: tuple[Object, ...] = ()
    """What may select pods by their labels."""
    unseen: tuple[str, ...] = ()
    """What we were not allowed to look at."""
    whole: bool = False
    """A cluster was asked: what is not here is nowhere."""

    @property
    def spec(self) -> Spec:
        """The release's."""
        return self.release.spec

    @property
    def names(self) -> Names:
        """Of Service, target and the part of the route that is meant."""
        target = self.spec.target.name
        service = self.spec.service.name if self.spec.service else target
        return Names(self.release.metadata.namespace, service, target, part_of(self.spec))


def part_of(spec: Spec) -> str | None:
    """Name of the one rule that is weighted, in the first route."""
    return spec.traffic.each[0].part if spec.traffic.each else None


def scenery_of(release: CanaryRelease, reader: Reader, *, whole: bool) -> Scenery:
    """Reads it all. Raises TransientError when the cluster does not answer."""
    namespace, spec = release.metadata.namespace, release.spec
    routes = tuple(_named(release, reader))
    unseen: list[str] = []
    neighbours: list[Object] = []
    for kind in WATCHED:
        found, trouble = listed(reader, kind, namespace)
        neighbours += found
        unseen += [trouble] if trouble else []
    service = spec.service.name if spec.service else spec.target.name
    return Scenery(
        release=release,
        target=reader.get(DEPLOYMENTS, namespace, spec.target.name),
        service=reader.get(SERVICES, namespace, service),
        services=tuple(listed(reader, SERVICES, namespace)[0]),
        dialect=routes[0].dialect if routes else None,
        route=routes[0].route if routes else None,
        routes=routes,
        ways=ways_to(reader, Names(namespace, service, spec.target.name)) if routes else (),
        elsewhere=routes_elsewhere(reader, namespace, service) if routes else (),
        outdated=outdated_routes(reader, namespace, service) if routes else (),
        other_controllers=other_controllers(reader, namespace, spec.target.name),
        scaled_object=scaled_object(reader, namespace, spec.target.name),
        claims={one["metadata"]["name"]: one for one in listed(reader, CLAIMS, namespace)[0]},
        neighbours=tuple(neighbours),
        unseen=tuple(unseen),
        whole=whole,
    )


def _named(release: CanaryRelease, reader: Reader) -> Iterator[Named]:
    traffic, namespace = release.spec.traffic, release.metadata.namespace
    for index, router in enumerate(traffic.each):
        members = {"gatewayAPI": router.gateway_api, "istio": router.istio}
        member = next((name for name, one in members.items() if one is not None), "traefik")
        path = ("spec", "traffic", "routes", index) if traffic.routes else ("spec", "traffic")
        dialect = dialect_of(router)
        yield Named(router, dialect, _route(reader, dialect, namespace, router.name),
                    (*path, member))  # fmt: skip


def _route(reader: Reader, dialect: Dialect, namespace: str, name: str) -> Object | None:
    """None as well where the cluster does not serve its kind."""
    try:
        return reader.get(dialect.kind, namespace, name)
    except NotFoundError:
        return None
