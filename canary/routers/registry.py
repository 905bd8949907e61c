"""From the spec's one router to the code that speaks to it."""

from canary.api.traffic import GatewayRoute, Traffic
from canary.errors import UsageError
from canary.interfaces import TrafficRouter
from canary.kube.objects import Objects
from canary.routers.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.replicas import ReplicaRouter
from canary.routers.shell import RouteRouter
from canary.routers.traefik import TRAEFIK_SERVICE


def router_of(traffic: Traffic, objects: Objects) -> TrafficRouter:
    """The router that this spec names. Nothing falls back silently.

    Raises:
        UsageError: the spec names none (models that were validated never do).
    """
    if traffic.gateway_api is not None:
        return _gateway(traffic.gateway_api, objects)
    if traffic.istio is not None:
        istio = traffic.istio
        return RouteRouter(objects, VIRTUAL_SERVICE, istio.virtual_service, istio.route)
    if traffic.traefik is not None:
        return RouteRouter(objects, TRAEFIK_SERVICE, traffic.traefik.traefik_service)
    if traffic.replicas is not None:
        return ReplicaRouter(objects)
    raise UsageError("traffic names no router: one of gatewayAPI, istio, traefik, replicas")


def _gateway(route: GatewayRoute, objects: Objects) -> RouteRouter:
    match route.kind:
        case "HTTPRoute":
            return RouteRouter(objects, HTTP_ROUTE, route.name, route.rule)
        case "GRPCRoute":
            return RouteRouter(objects, GRPC_ROUTE, route.name, route.rule)
