"""Selects the Service, the routes and the metrics of a draft. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from canary.api import describe_unknown
from canary.api.traffic import MAX_ROUTES
from canary.core.increments import Side
from canary.discovery.preset_detection import DetectedHistogram, DetectedPresets
from canary.discovery.topology import ServiceRoute, Topology
from canary.errors import NotFoundError, UsageError
from canary.kube.objects import SERVICES, Object
from canary.metrics.presets import POOLS, RATIOS
from canary.metrics.queries import Context
from canary.routers.gateway_api import ENVOY_GATEWAY, GRPC_ROUTE
from canary.routers.names import Names
from canary.text.format import join_names

NO_ROUTE = "none"
"""`--route none`: split traffic by the number of pods."""
_BY_CONTROLLER = {
    "traefik.io/gateway-controller": "traefik",
    "istio.io/gateway-controller": "istio",
    "istio.io/mesh-controller": "istio",
    "linkerd.io/policy-controller": "linkerd",
}
_BY_KIND = {"TraefikService": "traefik", "VirtualService": "istio"}
_ROUTER_OF_GRPC = {"istio": "istio-grpc", "linkerd": "linkerd"}
"""Presets that see gRPC errors; the others count the HTTP status, which is 200."""
_HTTP_ONLY = frozenset(one.name for one in RATIOS if one.http_only)
_RATIOS = tuple(one.name for one in RATIOS)
_POOLS = tuple(one.name for one in POOLS)


@dataclass(frozen=True, slots=True)
class DraftOptions:
    """The choices made by options."""

    service: str | None = None
    route: str | None = None
    metrics: Sequence[str] = ()
    """Names of presets."""


@dataclass(frozen=True, slots=True)
class TrafficSelection:
    """One Service, and the routes to it that are weighted."""

    service: Object | None
    """None: the pods are workers, which receive no requests."""
    service_routes: tuple[ServiceRoute, ...]
    """Empty: traffic is split by the number of pods."""

    @property
    def name(self) -> str:
        """The name of the Service; empty for workers."""
        return str(self.service["metadata"]["name"]) if self.service is not None else ""


def select_service_and_routes(topology: Topology, wanted: DraftOptions) -> TrafficSelection:
    """Select the Service and its routes; without any Service the pods are workers.

    Raises:
        NotFoundError: no Service selects the pods, but the options require one.
        UsageError: there are several, and no option selects one.
    """
    service = _select_service(topology, wanted.service)
    if service is None:
        return TrafficSelection(None, ())
    routes = topology.service_routes[service["metadata"]["name"]]
    return TrafficSelection(
        service, _select_routes(routes, wanted.route, service["metadata"]["name"])
    )


def _select_service(topology: Topology, wanted: str | None) -> Object | None:
    names = [one["metadata"]["name"] for one in topology.services]
    if not names:
        _expect_workers(topology, wanted)
        return None
    if wanted is None and len(names) > 1:
        raise UsageError(
            f"{len(names)} Services select the pods of Deployment {topology.name}: "
            f"{join_names(names)}; "
            f"select the one that serves the users, such as --service {names[0]}"
        )
    if wanted is not None and wanted not in names:
        raise UsageError(
            f"Service {wanted} does not select the pods of Deployment {topology.name}; "
            f"these do: {join_names(names)}"
        )
    return topology.services[names.index(wanted or names[0])]


def _expect_workers(topology: Topology, wanted: str | None) -> None:
    """Raise NotFoundError if a Service was named, or one may exist that could not be listed."""
    named = any(one["metadata"]["name"] == topology.name for one in topology.neighbors)
    hidden = [sentence for sentence in topology.lookup_errors if SERVICES.plural in sentence]
    if wanted is None and not named and not hidden:
        return
    failed = f" (lookup failed: {hidden[0]})" if hidden else ""
    called = f"; Service {topology.name} selects other pods" if named else ""
    raise NotFoundError(
        f"no Service in namespace {topology.namespace} selects the pods of Deployment "
        f"{topology.name}{called}{failed}"
    )


def _select_routes(
    service_routes: Sequence[ServiceRoute], wanted: str | None, service: str
) -> tuple[ServiceRoute, ...]:
    """Return all routes, or the one that --route selects; traffic of others stays with stable."""
    names = [route.name for route in service_routes]
    if wanted == NO_ROUTE:
        return ()
    if wanted is not None:
        fitting = [
            route
            for route in service_routes
            if wanted in {route.name, route.name.partition("/")[2]}
        ]
        if len(fitting) == 1:
            return (fitting[0],)
        raise UsageError(
            f"--route {wanted} matches {len(fitting) or 'no'} routes to Service {service}; "
            f"expected one of: {join_names(names)}; or --route {NO_ROUTE}: split by number of pods"
        )
    if len(service_routes) > MAX_ROUTES:
        raise UsageError(
            f"{len(service_routes)} routes send traffic to Service {service}: {join_names(names)}; "
            f"a release supports at most {MAX_ROUTES}. Draft with one of them, such as --route "
            f"{names[0]}, and add others to traffic.routes (traffic of unlisted routes stays with "
            "stable)"
        )
    return tuple(service_routes)


def build_query_context(topology: Topology, selection: TrafficSelection) -> Context:
    """Return the context that the operator would compile its queries with."""
    pods = {Side.STABLE: topology.pods, Side.CANARY: ()}
    return Context(topology.namespace, pods, _common_backends(topology, selection))


def _common_backends(topology: Topology, selection: TrafficSelection) -> Mapping[Side, str]:
    """Return the backend names that all routes share; other names would miss requests."""
    names = Names(topology.namespace, selection.name, topology.name)
    found = [dict(route.dialect.backends(route.route, names)) for route in selection.service_routes]
    return found[0] if found and all(one == found[0] for one in found) else {}


@dataclass(frozen=True, slots=True)
class MetricSelection:
    """The metrics that are analyzed, and how they were found."""

    ratio: str | None
    pools: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Other presets of requests that have data."""
    unlimited_pools: tuple[str, ...] = ()
    slow: DetectedHistogram | None = None
    why: str = ""
    """Why the metrics are assumed to exist; empty if they were found."""


def select_metrics(
    selection: TrafficSelection, seen: DetectedPresets | None, wanted: Sequence[str], where: str
) -> MetricSelection:
    """Return the presets of --metric, else those that were found, else the router's.

    `where` describes where `seen` comes from. Raises UsageError if none is known: the metrics of
    a service cannot be guessed.
    """
    found = seen or DetectedPresets()
    if wanted:
        return _select_named_metrics(wanted, found)
    grpc = carries_grpc(selection)
    ratios = tuple(name for name in found.ratios if not grpc or name not in _HTTP_ONLY)
    if ratios or found.pools:
        ratio = ratios[0] if ratios else None
        slow = _select_histogram(found, ratio)
        return MetricSelection(ratio, found.pools, ratios[1:], found.unlimited_pools, slow)
    known = _preset_of_router(selection)
    if grpc:
        known = _ROUTER_OF_GRPC.get(known or "")
    if known is None and grpc:
        seers = [name for name in _RATIOS if name not in _HTTP_ONLY]
        raise UsageError(
            f"no preset that sees gRPC errors was found: {where}. A gRPC error has HTTP status "
            f"200, so presets that count HTTP statuses miss it. Name the preset that the service "
            f"exports with --metric: {', '.join(seers)}. Connection pools: {', '.join(_POOLS)}"
        )
    if known is None:
        raise UsageError(
            f"no known preset was found: {where}. Name the preset that the service or its router "
            f"exports with --metric. Requests: {', '.join(_RATIOS)}. Connection pools: "
            f"{', '.join(_POOLS)}"
        )
    return MetricSelection(known, why=f"{where}; this preset is what the router exports")


def _select_named_metrics(wanted: Sequence[str], found: DetectedPresets) -> MetricSelection:
    for name in wanted:
        if name not in {*_RATIOS, *_POOLS}:
            raise UsageError("--metric: " + describe_unknown("preset", name, [*_RATIOS, *_POOLS]))
    ratios = [name for name in wanted if name in _RATIOS]
    if len(ratios) > 1:
        raise UsageError(f"--metric: expected one preset of requests, found {join_names(ratios)}")
    pools = tuple(name for name in wanted if name in _POOLS)
    missing = [name for name in wanted if name not in {*found.ratios, *found.pools}]
    why = f"{join_names(missing)}: no data found, selected with --metric" if missing else ""
    ratio = next(iter(ratios or found.ratios), None)
    others = tuple(name for name in found.ratios if name != ratio)
    slow = _select_histogram(found, ratio)
    return MetricSelection(ratio, pools or found.pools, others, found.unlimited_pools, slow, why)


def _select_histogram(found: DetectedPresets, ratio: str | None) -> DetectedHistogram | None:
    """Return the histogram of the preset that counts the requests, else the first one."""
    alike = (one for one in found.slow if one.preset == ratio)
    return next(alike, found.slow[0] if found.slow else None)


def carries_grpc(selection: TrafficSelection) -> bool:
    """Return whether a route carries gRPC, whose errors have HTTP status 200."""
    return any(
        route.dialect.kind.kind == GRPC_ROUTE.kind.kind for route in selection.service_routes
    )


def _preset_of_router(selection: TrafficSelection) -> str | None:
    """Return the router's preset if one router serves all routes."""
    known = {_preset_of_route(route) for route in selection.service_routes}
    return known.pop() if len(known) == 1 else None


def _preset_of_route(route: ServiceRoute) -> str | None:
    known = _BY_KIND.get(route.dialect.kind.kind)
    for parent in _route_parents(route):
        known = known or _BY_CONTROLLER.get(parent.get("controllerName", ""))
    return known


def _route_parents(route: ServiceRoute) -> Sequence[Object]:
    return (route.route.get("status") or {}).get("parents") or ()


def counts_as_one_cluster(topology: Topology, selection: TrafficSelection) -> bool:
    """Return whether Envoy Gateway reports both versions as one cluster in its metrics."""
    parents = (_route_parents(route) for route in selection.service_routes)
    envoy = any(one.get("controllerName") == ENVOY_GATEWAY for found in parents for one in found)
    return envoy and not _common_backends(topology, selection)
