"""What a release names, read from a cluster or from the manifests beside it."""

from dataclasses import dataclass

from canary.api import CanaryRelease, Spec
from canary.errors import NotFoundError
from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.routers.dialect import Dialect
from canary.routers.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.names import Names
from canary.routers.traefik import TRAEFIK_SERVICE
from canary.survey.reader import Reader, listed
from canary.survey.relabelling import WATCHED


@dataclass(frozen=True, slots=True)
class Scenery:
    """The objects that a release names; None for what is not there."""

    release: CanaryRelease
    target: Object | None
    service: Object | None
    dialect: Dialect | None
    """None: there is no router."""
    route: Object | None
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


def dialect_of(spec: Spec) -> tuple[Dialect, str] | None:
    """The kind of the route and its name; None without a router."""
    traffic = spec.traffic
    if traffic.gateway_api is not None:
        grpc = traffic.gateway_api.kind == GRPC_ROUTE.kind.kind
        return GRPC_ROUTE if grpc else HTTP_ROUTE, traffic.gateway_api.name
    if traffic.istio is not None:
        return VIRTUAL_SERVICE, traffic.istio.virtual_service
    if traffic.traefik is not None:
        return TRAEFIK_SERVICE, traffic.traefik.traefik_service
    return None


def part_of(spec: Spec) -> str | None:
    """Name of the one rule that is weighted."""
    if spec.traffic.gateway_api is not None:
        return spec.traffic.gateway_api.rule
    return spec.traffic.istio.route if spec.traffic.istio is not None else None


def scenery_of(release: CanaryRelease, reader: Reader, *, whole: bool) -> Scenery:
    """Reads it all. Raises TransientError when the cluster does not answer."""
    namespace, spec = release.metadata.namespace, release.spec
    named = dialect_of(spec)
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
        dialect=named[0] if named else None,
        route=_route(reader, named, namespace),
        neighbours=tuple(neighbours),
        unseen=tuple(unseen),
        whole=whole,
    )


def _route(reader: Reader, named: tuple[Dialect, str] | None, namespace: str) -> Object | None:
    """None as well where the cluster does not serve its kind."""
    if named is None:
        return None
    try:
        return reader.get(named[0].kind, namespace, named[1])
    except NotFoundError:
        return None
