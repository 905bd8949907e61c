"""What stands around a Deployment: Services that select it, routes to them, autoscaler, pods."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from canary.discovery.label_selector import selects
from canary.discovery.manifest_reader import Reader, listed
from canary.discovery.workload_risks import other_controllers, scaled_object
from canary.kube.objects import (
    AUTOSCALERS,
    CRON_JOBS,
    PODS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.names import ROLE, labels_of
from canary.routers.dialect import Dialect
from canary.routers.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.names import Names
from canary.routers.split import weighted_rules
from canary.routers.traefik import TRAEFIK_SERVICE

DIALECTS = (HTTP_ROUTE, GRPC_ROUTE, VIRTUAL_SERVICE, TRAEFIK_SERVICE)
INGRESSES = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
INGRESS_ROUTES = Kind("traefik.io", "v1alpha1", "ingressroutes", "IngressRoute")
OLD_TRAEFIK = "traefik.containo.us"
"""The API group of Traefik before 2.10, which Traefik 3 does not read any more."""
_OUTDATED = (
    Kind(OLD_TRAEFIK, "v1alpha1", "traefikservices", "TraefikService"),
    Kind(OLD_TRAEFIK, "v1alpha1", "ingressroutes", "IngressRoute"),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A route that sends traffic to one Service."""

    dialect: Dialect
    route: Object
    rules: tuple[str | None, ...]
    """Names of those of its rules that do; None for one without a name."""

    @property
    def name(self) -> str:
        """`HTTPRoute/auth`, as `--route` takes it."""
        return f"{self.dialect.kind.kind}/{self.route['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Around:
    """A Deployment and what stands around it."""

    namespace: str
    target: Object
    services: tuple[Object, ...]
    """Those that select its pods."""
    neighbours: tuple[Object, ...]
    """All Services of the namespace that were seen."""
    ways: Mapping[str, tuple[Way, ...]]
    """By the Service's name."""
    elsewhere: Mapping[str, tuple[str, ...]]
    """Routes in other namespaces that send to a Service: `HTTPRoute gateways/auth`."""
    unweighted: Mapping[str, tuple[str, ...]]
    """What else sends to a Service and cannot be weighted: `Ingress auth`."""
    outdated: Mapping[str, tuple[str, ...]]
    """What sends to a Service in an API group that is too old: `TraefikService auth`."""
    other_controllers: tuple[str, ...]
    """Objects of other controllers that scale the Deployment: `Canary.flagger.app auth`."""
    autoscaler: str | None
    scaled_object: str | None
    """KEDA's ScaledObject, which makes the autoscaler and writes it back."""
    cron_jobs: tuple[str, ...]
    """Names of suspended CronJobs: candidates for checks before traffic."""
    pods: tuple[str, ...]
    """Names of the running ones."""
    unseen: tuple[str, ...]
    """What we were not allowed to look at, as sentences."""

    @property
    def name(self) -> str:
        """Of the Deployment."""
        return str(self.target["metadata"]["name"])


def look_around(reader: Reader, target: Object) -> Around:
    """Reads what stands around the Deployment; never raises for what it may not see."""
    namespace = target["metadata"]["namespace"]
    unseen: list[str] = []

    def every(kind: Kind) -> list[Object]:
        found, trouble = listed(reader, kind, namespace)
        unseen.extend([trouble] if trouble else [])
        return found

    neighbours = tuple(every(SERVICES))
    services = tuple(one for one in neighbours if _serves(one, target))
    routes = [(dialect, route) for dialect in DIALECTS for route in every(dialect.kind)]
    names = [service["metadata"]["name"] for service in services]
    target_name = str(target["metadata"]["name"])
    others = [*every(INGRESSES), *every(INGRESS_ROUTES)]
    return Around(
        namespace=namespace,
        target=target,
        services=services,
        neighbours=neighbours,
        ways={name: tuple(_ways(routes, Names(namespace, name, target_name))) for name in names},
        elsewhere={name: routes_elsewhere(reader, namespace, name) for name in names},
        unweighted={name: tuple(_senders(others, name)) for name in names},
        outdated={name: outdated_routes(reader, namespace, name) for name in names},
        other_controllers=other_controllers(reader, namespace, target_name),
        autoscaler=next(_autoscalers(every(AUTOSCALERS), target), None),
        scaled_object=scaled_object(reader, namespace, target_name),
        cron_jobs=tuple(
            one["metadata"]["name"] for one in every(CRON_JOBS) if one["spec"].get("suspend")
        ),
        pods=tuple(pods_of(every(PODS), target)),
        unseen=tuple(unseen),
    )


def pods_of(pods: list[Object], target: Object) -> Iterator[str]:
    """Names of the Deployment's running pods, without those of its canary."""
    for pod in pods:
        found = labels_of(pod)
        running = (pod.get("status") or {}).get("phase") == "Running"
        if running and ROLE not in found and selects(target["spec"]["selector"], found):
            yield str(pod["metadata"]["name"])


def _serves(service: Object, target: Object) -> bool:
    """Selects the target's pods, and is none of ours."""
    selector = service["spec"].get("selector") or {}
    ours = ROLE in labels_of(service)
    return bool(selector) and not ours and selector.items() <= labels_of(_template(target)).items()


def _template(target: Object) -> Object:
    template: Object = target["spec"]["template"]
    return template


def ways_to(reader: Reader, names: Names) -> tuple[Way, ...]:
    """Every route in the namespace that sends to the Service; none of a kind that is forbidden."""
    kinds = ((dialect, listed(reader, dialect.kind, names.namespace)[0]) for dialect in DIALECTS)
    return tuple(_ways([(dialect, one) for dialect, found in kinds for one in found], names))


def routes_elsewhere(reader: Reader, namespace: str, service: str) -> tuple[str, ...]:
    """Routes of other namespaces to the Service, such as a gateway team's with a ReferenceGrant.

    None where all namespaces cannot be listed: few people who look at one may look at all.
    """
    found: list[str] = []
    for dialect in DIALECTS:
        for route in listed(reader, dialect.kind, "")[0]:
            there = route["metadata"].get("namespace", "")
            refs = (ref for rule in dialect.rules(route) for ref in rule.get(dialect.refs) or ())
            # A name without a namespace is a Service of the route's own namespace.
            if there != namespace and any(
                dialect.sends_to(ref, service, namespace)
                and not dialect.sends_to(ref, service, there)
                for ref in refs
            ):
                found.append(f"{dialect.kind.kind} {there}/{route['metadata']['name']}")
    return tuple(found)


def outdated_routes(reader: Reader, namespace: str, service: str) -> tuple[str, ...]:
    """Routes to the Service in an API group that nobody weights any more."""
    found = [one for kind in _OUTDATED for one in listed(reader, kind, namespace)[0]]
    return tuple(_senders(found, service))


def _ways(routes: list[tuple[Dialect, Object]], names: Names) -> Iterator[Way]:
    for dialect, route in routes:
        if indices := weighted_rules(dialect, route, names):
            rules = dialect.rules(route)
            yield Way(dialect, route, tuple(rules[index].get("name") for index in indices))


def _senders(others: list[Object], service: str) -> Iterator[str]:
    for one in others:
        if service in set(_backends(one.get("spec"))):
            yield f"{one['kind']} {one['metadata']['name']}"


def _backends(part: object) -> Iterator[str]:
    """Names of Services, wherever an Ingress or an IngressRoute has them."""
    if isinstance(part, list):
        for item in part:
            yield from _backends(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "service" and isinstance(value, dict):
                yield str(value.get("name"))
            elif key == "services" and isinstance(value, list):
                yield from (str(one.get("name")) for one in value if one.get("kind") != _WEIGHTED)
            else:
                yield from _backends(value)


_WEIGHTED = "TraefikService"


def _autoscalers(found: list[Object], target: Object) -> Iterator[str]:
    for one in found:
        reference = one["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) == (
            "Deployment",
            target["metadata"]["name"],
        ):
            yield str(one["metadata"]["name"])
