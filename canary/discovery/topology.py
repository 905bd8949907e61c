"""Reads the objects around a Deployment: Services, routes to them, autoscalers and pods."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from canary.discovery.label_selector import selector_matches
from canary.discovery.manifest_reader import ObjectReader, list_objects
from canary.discovery.workload_risks import find_other_controllers, find_scaled_object
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
OLD_TRAEFIK_GROUP = "traefik.containo.us"
"""The API group of Traefik before 2.10, which Traefik 3 no longer reads."""
_OUTDATED = (
    Kind(OLD_TRAEFIK_GROUP, "v1alpha1", "traefikservices", "TraefikService"),
    Kind(OLD_TRAEFIK_GROUP, "v1alpha1", "ingressroutes", "IngressRoute"),
)


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """A route that sends traffic to one Service and can be weighted."""

    dialect: Dialect
    route: Object
    rules: tuple[str | None, ...]
    """Names of the rules that do; None for a rule without a name."""

    @property
    def name(self) -> str:
        """`HTTPRoute/auth`, as `--route` takes it."""
        return f"{self.dialect.kind.kind}/{self.route['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Topology:
    """A Deployment and the objects around it."""

    namespace: str
    target: Object
    services: tuple[Object, ...]
    """Services that select its pods."""
    neighbors: tuple[Object, ...]
    """All Services of the namespace."""
    service_routes: Mapping[str, tuple[ServiceRoute, ...]]
    """Routes that can be weighted, by the name of the Service."""
    elsewhere: Mapping[str, tuple[str, ...]]
    """Routes of other namespaces, by Service: `HTTPRoute gateways/auth`."""
    unweighted: Mapping[str, tuple[str, ...]]
    """Objects that send traffic to a Service and cannot be weighted: `Ingress auth`."""
    outdated: Mapping[str, tuple[str, ...]]
    """Routes in an API group that Traefik no longer reads: `TraefikService auth`."""
    other_controllers: tuple[str, ...]
    """Other controllers' objects that scale the Deployment: `Canary.flagger.app auth`."""
    autoscaler: str | None
    scaled_object: str | None
    """KEDA's ScaledObject, which owns the autoscaler and reverts changes to it."""
    cron_jobs: tuple[str, ...]
    """Names of suspended CronJobs, which are candidates for checks."""
    pods: tuple[str, ...]
    """Names of the running pods."""
    lookup_errors: tuple[str, ...]
    """Error messages of failed lookups."""

    @property
    def name(self) -> str:
        """The name of the Deployment."""
        return str(self.target["metadata"]["name"])


def read_topology(reader: ObjectReader, target: Object) -> Topology:
    """Read the objects around the Deployment; failed lookups are collected, not raised."""
    namespace = target["metadata"]["namespace"]
    errors: list[str] = []

    def every(kind: Kind) -> list[Object]:
        found, trouble = list_objects(reader, kind, namespace)
        errors.extend([trouble] if trouble else [])
        return found

    neighbors = tuple(every(SERVICES))
    services = tuple(one for one in neighbors if _selects_target(one, target))
    routes = [(dialect, route) for dialect in DIALECTS for route in every(dialect.kind)]
    names = [service["metadata"]["name"] for service in services]
    target_name = str(target["metadata"]["name"])
    others = [*every(INGRESSES), *every(INGRESS_ROUTES)]
    return Topology(
        namespace=namespace,
        target=target,
        services=services,
        neighbors=neighbors,
        service_routes={
            name: tuple(_find_service_routes(routes, Names(namespace, name, target_name)))
            for name in names
        },
        elsewhere={name: find_foreign_routes(reader, namespace, name) for name in names},
        unweighted={name: tuple(_find_senders(others, name)) for name in names},
        outdated={name: find_outdated_routes(reader, namespace, name) for name in names},
        other_controllers=find_other_controllers(reader, namespace, target_name),
        autoscaler=next(_find_autoscalers(every(AUTOSCALERS), target), None),
        scaled_object=find_scaled_object(reader, namespace, target_name),
        cron_jobs=tuple(
            one["metadata"]["name"] for one in every(CRON_JOBS) if one["spec"].get("suspend")
        ),
        pods=tuple(list_running_pods(every(PODS), target)),
        lookup_errors=tuple(errors),
    )


def list_running_pods(pods: list[Object], target: Object) -> Iterator[str]:
    """Yield the names of the Deployment's running pods, without canary pods."""
    for pod in pods:
        found = labels_of(pod)
        running = (pod.get("status") or {}).get("phase") == "Running"
        if running and ROLE not in found and selector_matches(target["spec"]["selector"], found):
            yield str(pod["metadata"]["name"])


def _selects_target(service: Object, target: Object) -> bool:
    """Return whether the Service selects the target's pods and was not created by canary."""
    selector = service["spec"].get("selector") or {}
    ours = ROLE in labels_of(service)
    return (
        bool(selector) and not ours and selector.items() <= labels_of(_pod_template(target)).items()
    )


def _pod_template(target: Object) -> Object:
    template: Object = target["spec"]["template"]
    return template


def read_service_routes(reader: ObjectReader, names: Names) -> tuple[ServiceRoute, ...]:
    """Return the routes of the namespace to the Service; skips kinds that cannot be listed."""
    kinds = (
        (dialect, list_objects(reader, dialect.kind, names.namespace)[0]) for dialect in DIALECTS
    )
    return tuple(
        _find_service_routes([(dialect, one) for dialect, found in kinds for one in found], names)
    )


def find_foreign_routes(reader: ObjectReader, namespace: str, service: str) -> tuple[str, ...]:
    """Return other namespaces' routes to the Service, such as a gateway team's.

    Empty if the account may not list routes in all namespaces, which is common.
    """
    found: list[str] = []
    for dialect in DIALECTS:
        for route in list_objects(reader, dialect.kind, "")[0]:
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


def find_outdated_routes(reader: ObjectReader, namespace: str, service: str) -> tuple[str, ...]:
    """Return routes to the Service in an API group that Traefik no longer reads."""
    found = [one for kind in _OUTDATED for one in list_objects(reader, kind, namespace)[0]]
    return tuple(_find_senders(found, service))


def _find_service_routes(
    routes: list[tuple[Dialect, Object]], names: Names
) -> Iterator[ServiceRoute]:
    for dialect, route in routes:
        if indices := weighted_rules(dialect, route, names):
            rules = dialect.rules(route)
            yield ServiceRoute(dialect, route, tuple(rules[index].get("name") for index in indices))


def _find_senders(others: list[Object], service: str) -> Iterator[str]:
    for one in others:
        if service in set(_backend_names(one.get("spec"))):
            yield f"{one['kind']} {one['metadata']['name']}"


def _backend_names(part: object) -> Iterator[str]:
    """Yield the names of Services, wherever an Ingress or an IngressRoute references them."""
    if isinstance(part, list):
        for item in part:
            yield from _backend_names(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "service" and isinstance(value, dict):
                yield str(value.get("name"))
            elif key == "services" and isinstance(value, list):
                yield from (
                    str(one.get("name")) for one in value if one.get("kind") != _TRAEFIK_SERVICE
                )
            else:
                yield from _backend_names(value)


_TRAEFIK_SERVICE = "TraefikService"


def _find_autoscalers(found: list[Object], target: Object) -> Iterator[str]:
    for one in found:
        reference = one["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) == (
            "Deployment",
            target["metadata"]["name"],
        ):
            yield str(one["metadata"]["name"])
