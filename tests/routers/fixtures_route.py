"""A route on an API server in memory, and the router that its release names."""

import copy
from typing import Any

import pytest

from canary.core.plan import RestoreRoute, SetWeight
from canary.core.snapshot import ReleaseResource, Route
from canary.kube.objects import Object
from canary.routers.registry import router_of
from canary.routers.route_client import WeightedRouteClient
from tests.kube.fake_cluster import FakeCluster
from tests.routers.golden_routes import DIALECTS, build_resource, read_golden

SPECS: dict[str, dict[str, Any]] = {
    "http_route": {"gatewayAPI": {"name": "auth"}},
    "grpc_route": {"gatewayAPI": {"kind": "GRPCRoute", "name": "auth"}},
    "virtual_service": {"istio": {"virtualService": "auth"}},
    "traefik_service": {"traefik": {"traefikService": "auth"}},
}
EVERY = pytest.mark.parametrize("name", SPECS)


class RouteOnFakeCluster:
    """A route of the user's on a cluster, and the router that its release names."""

    def __init__(self, name: str = "http_route", **traffic: object) -> None:
        spec = copy.deepcopy(SPECS[name])
        next(iter(spec.values())).update(traffic)
        self.cluster = FakeCluster()
        self.kind = DIALECTS[name].kind
        self.resource: ReleaseResource = build_resource(spec)
        self.before = self.cluster.put(self.kind, read_golden(name))
        router = router_of(self.resource.spec.traffic, self.cluster)
        assert isinstance(router, WeightedRouteClient)
        self.router = router

    @property
    def route(self) -> Object:
        found = self.cluster.get(self.kind, "prod", "auth")
        assert found is not None
        return found

    @property
    def seen(self) -> Route:
        route = self.router.read(self.resource)
        assert route is not None
        return route

    def set_weight(self, weight: int) -> None:
        self.router.apply(self.resource, SetWeight(weight))

    def restore(self) -> None:
        self.router.apply(self.resource, RestoreRoute())

    def edit(self, op: str, path: str, value: object = None) -> None:
        """Somebody else writes."""
        self.cluster.edit(self.kind, "prod", "auth", [{"op": op, "path": path, "value": value}])
