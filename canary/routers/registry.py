"""Creates the traffic router of a spec."""

from canary.api.traffic import Router, TrafficSpec
from canary.errors import UsageError
from canary.interfaces import TrafficRouter
from canary.kube.objects import Objects
from canary.routers.dialect import Dialect
from canary.routers.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.replicas import ReplicaRouter
from canary.routers.route_client import WeightedRouteClient
from canary.routers.several import MultiRouteRouter
from canary.routers.traefik import TRAEFIK_SERVICE

DIALECTS = (HTTP_ROUTE, GRPC_ROUTE, VIRTUAL_SERVICE, TRAEFIK_SERVICE)


def router_of(traffic: TrafficSpec, objects: Objects) -> TrafficRouter:
    """Return the router that the spec names, without a fallback.

    Raises:
        UsageError: the spec names no router (not possible after validation).
    """
    routers = {
        f"{route.kind} {route.name}": WeightedRouteClient(
            objects, dialect_of(route), route.name, route.part
        )
        for route in traffic.each
    }
    if len(routers) > 1:
        return MultiRouteRouter(routers)
    for router in routers.values():
        return router
    if traffic.replicas is not None:
        return ReplicaRouter(objects)
    raise UsageError(
        "expected one of gatewayAPI, istio, traefik, replicas, routes in spec.traffic, found none"
    )


def dialect_of(route: Router) -> Dialect:
    """Return the dialect of this kind of route."""
    return next(one for one in DIALECTS if one.kind.kind == route.kind)
