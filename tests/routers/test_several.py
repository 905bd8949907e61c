"""Several routes to one Service, of different kinds, on an API server in memory."""

import json

import pytest

from canary.core.plan import RestoreRoute, SetWeight
from canary.core.snapshot import Route
from canary.errors import CanaryError, ConflictError, TransientError
from canary.kube.objects import GRPC_ROUTES, HTTP_ROUTES, VIRTUAL_SERVICES, Kind
from canary.routers.gateway_api import ENVOY_GATEWAY
from canary.routers.registry import router_of
from canary.routers.several import MultiRouteRouter
from tests.kube.fake_cluster import FakeCluster
from tests.routers.fixtures_route import SPECS
from tests.routers.golden_routes import DIALECTS, build_resource, read_golden

KINDS = ("http_route", "grpc_route", "virtual_service", "traefik_service")


class Routes:
    """A release whose Service is reached by a route of every kind."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.before = {
            kind: self.cluster.put(DIALECTS[kind].kind, read_golden(kind)) for kind in KINDS
        }
        self.resource = build_resource({"routes": [SPECS[kind] for kind in KINDS]})
        self.router = router_of(self.resource.spec.traffic, self.cluster)
        assert isinstance(self.router, MultiRouteRouter)

    def seen(self) -> Route:
        """All routes as one."""
        route = self.router.read(self.resource)
        assert route is not None
        return route

    def break_down(self, broken: Kind, verb: str, error: CanaryError) -> None:
        """From now on the API server refuses this."""

        def before(asked: str, kind: Kind, _namespace: str, _name: str) -> None:
            if asked == verb and kind == broken:
                raise error

        self.cluster.before = before


def test_every_route_gets_the_weight_and_all_come_back() -> None:
    """To the byte, whatever their kinds."""
    routes = Routes()
    for weight in (1, 50, 100, 0):
        routes.router.apply(routes.resource, SetWeight(weight))
        seen = routes.seen()
        assert (seen.weight, seen.least, seen.at_rest) == (weight, weight, False)
    routes.router.apply(routes.resource, RestoreRoute())
    assert routes.seen().at_rest
    for kind, before in routes.before.items():
        after = routes.cluster.get(DIALECTS[kind].kind, "prod", "auth")
        assert after is not None
        assert json.dumps(after["spec"]) == json.dumps(before["spec"])
        assert after["metadata"].get("annotations") == before["metadata"].get("annotations")


@pytest.mark.parametrize("action", [SetWeight(0), RestoreRoute()], ids=["to 0", "restore"])
def test_one_that_fails_first_does_not_hold_up_the_others(
    action: SetWeight | RestoreRoute,
) -> None:
    """All are tried; then the failure is reported, and the largest weight is what is read."""
    routes = Routes()
    routes.router.apply(routes.resource, SetWeight(50))
    routes.break_down(HTTP_ROUTES, "patch", TransientError("admission webhook: no answer"))
    with pytest.raises(TransientError, match="no answer"):
        routes.router.apply(routes.resource, action)
    seen = routes.seen()
    assert (seen.weight, seen.least, seen.confirmed) == (50, 0, False)
    assert "HTTPRoute auth has 50 %" in seen.detail
    assert "VirtualService auth has 0 %" in seen.detail
    routes.cluster.before = None
    routes.router.apply(routes.resource, action)
    assert routes.seen().weight == 0


def test_a_route_that_goes_in_mid_release() -> None:
    """A rise is refused by its name; the others can be taken down."""
    routes = Routes()
    routes.router.apply(routes.resource, SetWeight(5))
    routes.cluster.delete(VIRTUAL_SERVICES, "prod", "auth", "Background")
    assert (routes.seen().weight, routes.seen().least) == (5, 0)
    with pytest.raises(ConflictError, match="VirtualService auth does not exist in namespace prod"):
        routes.router.apply(routes.resource, SetWeight(25))
    routes.router.apply(routes.resource, SetWeight(0))
    assert routes.seen().weight == 0
    routes.router.apply(routes.resource, RestoreRoute())
    assert routes.router.read(routes.resource) is None, "nothing starts without it"


def test_a_route_that_cannot_be_read_at_rest_is_an_error() -> None:
    """Without a release there is nothing to protect: the pass is tried again."""
    routes = Routes()
    routes.break_down(HTTP_ROUTES, "get", TransientError("connection refused"))
    with pytest.raises(TransientError):
        routes.router.read(routes.resource)


def test_names_in_metrics_are_used_only_where_all_routes_share_them() -> None:
    """No single query finds the requests of routers that name backends differently."""
    cluster = FakeCluster()
    for kind in ("http_route", "grpc_route", "virtual_service"):
        cluster.put(DIALECTS[kind].kind, read_golden(kind))
    envoys = {
        "status": {"parents": [{"parentRef": {"name": "x"}, "controllerName": ENVOY_GATEWAY}]}
    }
    cluster.put(GRPC_ROUTES, {**read_golden("grpc_route"), **envoys})

    def backends(*kinds: str) -> int:
        asked = build_resource({"routes": [SPECS[kind] for kind in kinds]})
        route = router_of(asked.spec.traffic, cluster).read(asked)
        assert route is not None
        return len(route.backends)

    assert backends("http_route", "virtual_service") == 2
    assert backends("http_route", "grpc_route") == 0
