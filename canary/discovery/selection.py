"""Which Service, which route, which metrics a draft takes; what is ambiguous is asked. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from canary.api import unknown
from canary.api.traffic import MAX_ROUTES
from canary.core.increments import Side
from canary.discovery.preset_detection import Sightings, Slow
from canary.discovery.topology import Around, Way
from canary.errors import NotFoundError, UsageError
from canary.kube.objects import SERVICES, Object
from canary.metrics.presets import POOLS, RATIOS
from canary.metrics.queries import Context
from canary.routers.gateway_api import ENVOY_GATEWAY, GRPC_ROUTE
from canary.routers.names import Names
from canary.text.format import listed

NONE = "none"
"""`--route none`: share by the number of pods."""
_BY_CONTROLLER = {
    "traefik.io/gateway-controller": "traefik",
    "istio.io/gateway-controller": "istio",
    "istio.io/mesh-controller": "istio",
    "linkerd.io/policy-controller": "linkerd",
}
_BY_KIND = {"TraefikService": "traefik", "VirtualService": "istio"}
_ROUTER_OF_GRPC = {"istio": "istio-grpc", "linkerd": "linkerd"}
"""What sees gRPC errors: the others count the HTTP status, which is 200."""
_HTTP_ONLY = frozenset(one.name for one in RATIOS if one.http_only)
_RATIOS = tuple(one.name for one in RATIOS)
_POOLS = tuple(one.name for one in POOLS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person has decided by flags."""

    service: str | None = None
    route: str | None = None
    metrics: Sequence[str] = ()
    """Names of presets."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One Service and the routes to it that are weighted."""

    service: Object | None
    """None: workers, which nothing is sent to."""
    ways: tuple[Way, ...]
    """None: share by the number of pods."""

    @property
    def name(self) -> str:
        """Of the Service; empty for workers."""
        return str(self.service["metadata"]["name"]) if self.service is not None else ""


def choose(around: Around, wanted: Wanted) -> Choice:
    """The Service and the route that are meant; without any Service these are workers.

    Raises:
        NotFoundError: a Service is asked for, or may be there, and none selects the pods.
        UsageError: there are several, and no flag says which.
    """
    service = _service(around, wanted.service)
    if service is None:
        return Choice(None, ())
    ways = around.ways[service["metadata"]["name"]]
    return Choice(service, _ways(ways, wanted.route, service["metadata"]["name"]))


def _service(around: Around, wanted: str | None) -> Object | None:
    names = [one["metadata"]["name"] for one in around.services]
    if not names:
        _expect_workers(around, wanted)
        return None
    if wanted is None and len(names) > 1:
        raise UsageError(
            f"{len(names)} Services select the pods of Deployment {around.name}: {listed(names)}; "
            f"say which one the users' traffic goes through: --service {names[0]}"
        )
    if wanted is not None and wanted not in names:
        raise UsageError(
            f"Service {wanted} does not select the pods of Deployment {around.name}; "
            f"these do: {listed(names)}"
        )
    return around.services[names.index(wanted or names[0])]


def _expect_workers(around: Around, wanted: str | None) -> None:
    """Raises NotFoundError where somebody means a Service, or one may have been overlooked."""
    named = any(one["metadata"]["name"] == around.name for one in around.neighbours)
    hidden = [sentence for sentence in around.unseen if SERVICES.plural in sentence]
    if wanted is None and not named and not hidden:
        return
    unseen = f" (not seen: {hidden[0]})" if hidden else ""
    called = f"; Service {around.name} selects other pods" if named else ""
    raise NotFoundError(
        f"no Service in namespace {around.namespace} selects the pods of Deployment "
        f"{around.name}{called}{unseen}"
    )


def _ways(ways: Sequence[Way], wanted: str | None, service: str) -> tuple[Way, ...]:
    """All of them, or the one that is asked for: what is not weighted stays with stable."""
    names = [way.name for way in ways]
    if wanted == NONE:
        return ()
    if wanted is not None:
        fitting = [way for way in ways if wanted in {way.name, way.name.partition("/")[2]}]
        if len(fitting) == 1:
            return (fitting[0],)
        raise UsageError(
            f"--route {wanted} names {len(fitting) or 'no'} routes that send to Service "
            f"{service}; there are: {listed(names)}; or --route {NONE}: share by number of pods"
        )
    if len(ways) > MAX_ROUTES:
        raise UsageError(
            f"{len(ways)} routes send to Service {service}, and a release weights at most "
            f"{MAX_ROUTES}: {listed(names)}; draft with one of them, --route {names[0]}, and name "
            "others beside it in traffic.routes (what comes through a route that is not named "
            "stays with stable)"
        )
    return tuple(ways)


def context_of(around: Around, choice: Choice) -> Context:
    """What the operator would know when it asks for metrics."""
    pods = {Side.STABLE: around.pods, Side.CANARY: ()}
    return Context(around.namespace, pods, _backends(around, choice))


def _backends(around: Around, choice: Choice) -> Mapping[Side, str]:
    """As the operator does: a name that not all of the routes share would miss requests."""
    names = Names(around.namespace, choice.name, around.name)
    found = [dict(way.dialect.backends(way.route, names)) for way in choice.ways]
    return found[0] if found and all(one == found[0] for one in found) else {}


@dataclass(frozen=True, slots=True)
class Measured:
    """What is judged, and how we know that it is there."""

    ratio: str | None
    pools: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Presets of requests that would do as well."""
    limitless: tuple[str, ...] = ()
    slow: Slow | None = None
    why: str = ""
    """Why it is taken to be there although nobody looked; empty: it was seen."""


def measure(choice: Choice, seen: Sightings | None, wanted: Sequence[str], where: str) -> Measured:
    """The presets that were asked for, else those that were seen, else what the router exports.

    `where` says in a few words where `seen` was looked for. Raises UsageError when nothing is
    known: what a service exports cannot be guessed.
    """
    found = seen or Sightings()
    if wanted:
        return _asked_for(wanted, found)
    grpc = carries_grpc(choice)
    ratios = tuple(name for name in found.ratios if not grpc or name not in _HTTP_ONLY)
    if ratios or found.pools:
        ratio = ratios[0] if ratios else None
        slow = _slow(found, ratio)
        return Measured(ratio, found.pools, ratios[1:], found.limitless, slow)
    known = _of_router(choice)
    if grpc:
        known = _ROUTER_OF_GRPC.get(known or "")
    if known is None and grpc:
        seers = [name for name in _RATIOS if name not in _HTTP_ONLY]
        raise UsageError(
            f"no known metric sees gRPC errors: {where}, and a gRPC error is HTTP status 200, so "
            f"what counts HTTP statuses sees none. Say what the service exports with --metric "
            f"PRESET: {', '.join(seers)}. Connection pools: {', '.join(_POOLS)}"
        )
    if known is None:
        raise UsageError(
            f"no known metric: {where}. Say what the service or its router exports with --metric "
            f"PRESET. Requests: {', '.join(_RATIOS)}. Connection pools: {', '.join(_POOLS)}"
        )
    return Measured(known, why=f"{where}; it is what this router exports")


def _asked_for(wanted: Sequence[str], found: Sightings) -> Measured:
    for name in wanted:
        if name not in {*_RATIOS, *_POOLS}:
            raise UsageError("--metric: " + unknown("preset", name, [*_RATIOS, *_POOLS]))
    ratios = [name for name in wanted if name in _RATIOS]
    if len(ratios) > 1:
        raise UsageError(f"--metric takes one preset of requests, found {listed(ratios)}")
    pools = tuple(name for name in wanted if name in _POOLS)
    unseen = [name for name in wanted if name not in {*found.ratios, *found.pools}]
    why = f"{listed(unseen)}: not seen, asked for with --metric" if unseen else ""
    ratio = next(iter(ratios or found.ratios), None)
    others = tuple(name for name in found.ratios if name != ratio)
    slow = _slow(found, ratio)
    return Measured(ratio, pools or found.pools, others, found.limitless, slow, why)


def _slow(found: Sightings, ratio: str | None) -> Slow | None:
    """The histogram of whoever counts the requests, else the first."""
    alike = (one for one in found.slow if one.preset == ratio)
    return next(alike, found.slow[0] if found.slow else None)


def carries_grpc(choice: Choice) -> bool:
    """Whether a route carries gRPC, whose errors have the HTTP status 200."""
    return any(way.dialect.kind.kind == GRPC_ROUTE.kind.kind for way in choice.ways)


def _of_router(choice: Choice) -> str | None:
    """The preset of the router, where one router has all of the routes."""
    known = {_known(way) for way in choice.ways}
    return known.pop() if len(known) == 1 else None


def _known(way: Way) -> str | None:
    known = _BY_KIND.get(way.dialect.kind.kind)
    for parent in _parents(way):
        known = known or _BY_CONTROLLER.get(parent.get("controllerName", ""))
    return known


def _parents(way: Way) -> Sequence[Object]:
    return (way.route.get("status") or {}).get("parents") or ()


def one_cluster(around: Around, choice: Choice) -> bool:
    """Envoy Gateway counts both versions as one: its own metrics cannot tell them apart."""
    parents = (_parents(way) for way in choice.ways)
    envoy = any(one.get("controllerName") == ENVOY_GATEWAY for found in parents for one in found)
    return envoy and not _backends(around, choice)
