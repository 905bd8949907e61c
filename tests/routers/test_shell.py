"""The shell of all routers on an API server in memory: conflicts, drift, crashes, absences."""

import copy
from typing import Any

import pytest

from canary.core.increments import Side
from canary.core.plan import RestoreRoute, SetWeight
from canary.core.snapshot import Route, Wish
from canary.errors import ConflictError, TransientError
from canary.kube.client import FIELD_MANAGER
from canary.kube.objects import HTTP_ROUTES, Kind, Object
from canary.routers import ownership
from canary.routers.registry import router_of
from canary.routers.shell import RouteRouter
from canary.routers.split import MEMORY
from tests.kube.fake import FakeCluster
from tests.routers.routes import DIALECTS, golden, wish

SPECS: dict[str, dict[str, Any]] = {
    "http_route": {"gatewayAPI": {"name": "auth"}},
    "grpc_route": {"gatewayAPI": {"kind": "GRPCRoute", "name": "auth"}},
    "virtual_service": {"istio": {"virtualService": "auth"}},
    "traefik_service": {"traefik": {"traefikService": "auth"}},
}
EVERY = pytest.mark.parametrize("name", SPECS)


class Stage:
    """A route of the user's on a cluster, and the router that its release names."""

    def __init__(self, name: str = "http_route", **traffic: object) -> None:
        spec = copy.deepcopy(SPECS[name])
        next(iter(spec.values())).update(traffic)
        self.cluster = FakeCluster()
        self.kind = DIALECTS[name].kind
        self.wish: Wish = wish(spec)
        self.before = self.cluster.put(self.kind, golden(name))
        router = router_of(self.wish.spec.traffic, self.cluster)
        assert isinstance(router, RouteRouter)
        self.router = router

    @property
    def route(self) -> Object:
        found = self.cluster.get(self.kind, "prod", "auth")
        assert found is not None
        return found

    @property
    def seen(self) -> Route:
        route = self.router.look(self.wish)
        assert route is not None
        return route

    def set_weight(self, weight: int) -> None:
        self.router.apply(self.wish, SetWeight(weight))

    def restore(self) -> None:
        self.router.apply(self.wish, RestoreRoute())

    def edit(self, op: str, path: str, value: object = None) -> None:
        """Somebody else writes."""
        self.cluster.edit(self.kind, "prod", "auth", [{"op": op, "path": path, "value": value}])


@EVERY
def test_through_a_release(name: str) -> None:
    """Every weight is read as it was written, and at the end the route is the user's."""
    stage = Stage(name)
    assert (stage.seen.weight, stage.seen.at_rest) == (0, True)
    for weight in (1, 50, 100, 0):
        stage.set_weight(weight)
        assert (stage.seen.weight, stage.seen.at_rest) == (weight, False)
    stage.restore()
    assert stage.seen.at_rest
    assert stage.route["spec"] == stage.before["spec"]
    assert stage.route["metadata"].get("annotations") == stage.before["metadata"].get("annotations")


@EVERY
def test_done_already_is_not_written_again(name: str) -> None:
    """Each action twice costs one write."""
    stage = Stage(name)
    writes = stage.cluster.writes
    stage.restore()
    assert stage.cluster.writes == writes
    stage.set_weight(5)
    stage.set_weight(5)
    assert stage.cluster.writes == writes + 1
    stage.restore()
    stage.restore()
    assert stage.cluster.writes == writes + 2


@EVERY
@pytest.mark.parametrize("restore", [False, True], ids=["set", "restore"])
def test_who_was_quicker_wins(name: str, *, restore: bool) -> None:
    """A write between our read and our patch refuses the patch, whole."""
    stage = Stage(name)
    if restore:
        stage.set_weight(5)
    theirs = {"http_route": "/spec/rules/1/name", "grpc_route": "/spec/rules/0/name"}
    path = theirs.get(
        name, "/spec/http/1/name" if name == "virtual_service" else "/spec/weighted/x"
    )

    def between(verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
        if verb == "patch":
            stage.cluster.before = None
            stage.edit("add", path, "theirs")

    stage.cluster.before = between
    with pytest.raises(ConflictError):
        stage.router.apply(stage.wish, RestoreRoute() if restore else SetWeight(50))
    assert stage.seen.weight == (5 if restore else 0)
    stage.router.apply(stage.wish, RestoreRoute() if restore else SetWeight(50))
    assert stage.seen.weight == (0 if restore else 50)
    assert "theirs" in str(stage.route["spec"])


def test_what_the_gateway_writes_is_no_conflict() -> None:
    """Its status moves the resourceVersion, and refuses no rollback."""
    stage = Stage()
    stage.set_weight(50)

    def between(verb: str, *_: object) -> None:
        if verb == "patch":
            stage.cluster.before = None
            stage.edit("add", "/status", {"parents": []})

    stage.cluster.before = between
    stage.set_weight(0)
    assert stage.seen.weight == 0


def test_a_server_that_is_down_is_transient() -> None:
    """The next pass tries again."""
    stage = Stage()

    def down(*_: object) -> None:
        raise TransientError("connection refused")

    stage.cluster.before = down
    with pytest.raises(TransientError):
        stage.set_weight(50)
    with pytest.raises(TransientError):
        stage.router.look(stage.wish)


def test_a_weight_that_somebody_else_wrote() -> None:
    """It is read as it is, rounded up, and putting it right does not lose the original."""
    stage = Stage()
    stage.set_weight(5)
    stage.edit("replace", "/spec/rules/0/backendRefs/0/weight", 200)
    stage.edit("replace", "/spec/rules/0/backendRefs/1/weight", 100)
    assert stage.seen.weight == 34
    stage.set_weight(5)
    stage.restore()
    assert stage.route["spec"] == stage.before["spec"]


def test_the_largest_of_several_rules_counts() -> None:
    """Less than is seen may flow, never more; writing again puts all rules right."""
    stage = Stage()
    stage.set_weight(5)
    rule = stage.route["spec"]["rules"][0]
    stage.edit("replace", "/spec/rules/0", {**rule, "backendRefs": rule["backendRefs"][:1]})
    assert stage.seen.weight == 5
    stage.set_weight(5)
    assert [ref["weight"] for ref in stage.route["spec"]["rules"][0]["backendRefs"]] == [95, 5]


def test_a_user_who_changes_the_ratio_to_others_keeps_it() -> None:
    """The memory is believed for the split between the sides, not for what a person changed."""
    stage = Stage(rule=None)
    stage.set_weight(5)
    stage.edit("replace", "/spec/rules/1/backendRefs/0/weight", 400)
    stage.restore()
    legacy, auth = stage.route["spec"]["rules"][1]["backendRefs"]
    assert (legacy["weight"], auth["weight"]) == (400, 400)


def test_applied_again_with_our_annotation_left_over() -> None:
    """Client-side apply keeps annotations that it does not know: not at rest until it is gone."""
    stage = Stage()
    stage.set_weight(5)
    stage.edit("replace", "/spec", stage.before["spec"])
    assert (stage.seen.weight, stage.seen.at_rest) == (0, False)
    stage.restore()
    assert stage.seen.at_rest
    assert MEMORY not in stage.route["metadata"]["annotations"]


@pytest.mark.parametrize("note", ["{", "[]", '{"0":"x"}', '{"0":[-1]}', '{"0":[1,2,3]}', "null"])
def test_a_memory_that_somebody_spoilt(note: str) -> None:
    """The shares are put back all the same."""
    stage = Stage()
    stage.set_weight(5)
    stage.edit("replace", f"/metadata/annotations/{MEMORY.replace('/', '~1')}", note)
    stage.restore()
    assert stage.seen.at_rest
    first, second = (rule["backendRefs"] for rule in stage.route["spec"]["rules"][:2])
    assert [(ref["name"], ref["weight"]) for ref in first] == [("auth", 100)]
    assert [(ref["name"], ref["weight"]) for ref in second] == [("legacy", 100), ("auth", 400)]


def test_a_named_rule_alone_is_weighted() -> None:
    """Other rules that send to the Service stay as they are."""
    stage = Stage(rule="login")
    stage.set_weight(5)
    assert stage.route["spec"]["rules"][1:] == stage.before["spec"]["rules"][1:]
    assert stage.seen.weight == 5


def test_a_rule_renamed_in_mid_release() -> None:
    """Our backend is found and removed wherever it is; a rise is refused."""
    stage = Stage(rule="login")
    stage.set_weight(5)
    stage.edit("replace", "/spec/rules/0/name", "sign-in")
    assert stage.seen.weight == 5
    with pytest.raises(ConflictError, match="no rule named login; there are: sign-in"):
        stage.set_weight(25)
    stage.set_weight(0)
    assert "auth-canary" not in str(stage.route["spec"])


@pytest.mark.parametrize(
    ("traffic", "path", "value", "sentence"),
    [
        pytest.param(
            {"rule": "logout"},
            "/spec/hostnames",
            [],
            "HTTPRoute auth has no rule named logout; there are: login.",
            id="a rule that is not there",
        ),
        pytest.param(
            {},
            "/spec/rules",
            [{"backendRefs": [{"name": "docs", "port": 80}]}],
            "No rule of HTTPRoute auth sends traffic to Service auth.",
            id="no rule with the Service",
        ),
        pytest.param(
            {"rule": "login"},
            "/spec/rules/0/backendRefs/0/name",
            "docs",
            "The rule login of HTTPRoute auth does not send traffic to Service auth.",
            id="the rule does not have the Service",
        ),
        pytest.param(
            {"rule": "login"},
            "/spec/rules/0/backendRefs/0/weight",
            0,
            "The rule login of HTTPRoute auth does not send traffic to Service auth.",
            id="the Service gets nothing from the rule",
        ),
        pytest.param(
            {},
            "/spec/rules/1/backendRefs/0/namespace",
            "elsewhere",
            None,
            id="a Service of that name in another namespace is another Service",
        ),
        pytest.param(
            {},
            "/spec/rules/1/backendRefs/1/weight",
            999_983,
            "The weights in HTTPRoute auth have no common divisor that leaves room for percents.",
            id="weights that cannot be multiplied",
        ),
        pytest.param(
            {},
            "/spec/rules",
            [],
            "HTTPRoute auth has no spec.rules, so there is nothing to weight.",
            id="no rules at all",
        ),
    ],
)
def test_routes_that_cannot_be_weighted(
    traffic: dict[str, Any], path: str, value: object, sentence: str | None
) -> None:
    """They are None for the pass, and one sentence for people; weight 0 is done, more refused."""
    stage = Stage(**traffic)
    stage.edit("add", path, value)
    assert stage.router.problem(stage.wish) == sentence
    if sentence is None:
        return
    assert stage.router.look(stage.wish) is None
    writes = stage.cluster.writes
    stage.set_weight(0)
    stage.restore()
    assert stage.cluster.writes == writes
    with pytest.raises(ConflictError):
        stage.set_weight(5)


@EVERY
def test_a_kind_that_the_cluster_does_not_serve(name: str) -> None:
    """Nothing there, nothing to restore, and a sentence that says why."""
    stage = Stage(name)
    stage.cluster.unserved.add(stage.kind)
    assert stage.router.look(stage.wish) is None
    stage.restore()
    stage.set_weight(0)
    assert "does not serve" in (stage.router.problem(stage.wish) or "")


def test_a_route_that_is_not_there() -> None:
    """As above, in other words."""
    stage = Stage(name="http_route")
    stage.cluster.delete(HTTP_ROUTES, "prod", "auth", "Background")
    assert stage.router.look(stage.wish) is None
    stage.restore()
    stage.set_weight(0)
    with pytest.raises(ConflictError, match="HTTPRoute auth does not exist in namespace prod"):
        stage.set_weight(1)


def _claim(manager: str, time: str, field: str = "f:rules") -> dict[str, Any]:
    fields = {"f:spec": {field: {}}}
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}


@pytest.mark.parametrize(
    ("claims", "writer", "at_rest"),
    [
        pytest.param([], None, True, id="nobody says"),
        pytest.param([_claim("kubectl", "1")], "kubectl", True, id="one person"),
        pytest.param([_claim("a", "1"), _claim("b", "2")], "b", True, id="the later one"),
        pytest.param(
            [_claim(FIELD_MANAGER, "1"), _claim("argocd", "2")],
            None,
            False,
            id="who agrees with us has changed nothing",
        ),
        pytest.param(
            [_claim(FIELD_MANAGER, "1", "f:hostnames"), _claim("flux", "1")],
            "flux",
            True,
            id="another field is not the weights",
        ),
        pytest.param(
            [{**_claim("traefik", "9"), "subresource": "status"}], None, True, id="status"
        ),
    ],
)
def test_who_wrote_the_weights(
    claims: list[dict[str, Any]], writer: str | None, *, at_rest: bool
) -> None:
    """From managedFields; and as long as we claim the rules, the route is not at rest."""
    stage = Stage()
    stage.edit("add", "/metadata/managedFields", claims)
    assert (stage.seen.writer, stage.seen.at_rest) == (writer, at_rest)
    stage.restore()
    assert stage.seen.at_rest


def test_the_manager_is_the_clients() -> None:
    """Our writes are told from others' by the name under which the client makes them."""
    assert ownership.MANAGER == FIELD_MANAGER


def _condition(kind: str, status: str, generation: int) -> dict[str, Any]:
    return {"type": kind, "status": status, "observedGeneration": generation}


PUBLIC = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
GOOD = [_condition("Accepted", "True", 1), _condition("ResolvedRefs", "True", 1)]


@pytest.mark.parametrize(
    ("parents", "confirmed"),
    [
        pytest.param([], False, id="no controller has seen it"),
        pytest.param([(PUBLIC, GOOD)], True, id="accepted and resolved"),
        pytest.param([(PUBLIC, GOOD[:1])], False, id="backends are not resolved yet"),
        pytest.param(
            [(PUBLIC, [GOOD[0], _condition("ResolvedRefs", "False", 1)])],
            False,
            id="a backend does not exist",
        ),
        pytest.param(
            [(PUBLIC, [GOOD[0], _condition("ResolvedRefs", "True", 0)])],
            False,
            id="of the generation before",
        ),
        pytest.param(
            [(PUBLIC, GOOD), ({**PUBLIC, "name": "gone"}, [])],
            True,
            id="a parent that left the spec does not count",
        ),
        pytest.param(
            [(PUBLIC, GOOD), ({**PUBLIC, "namespace": "prod"}, [])],
            False,
            id="two controllers on one parent: both count",
        ),
    ],
)
def test_confirmed(
    parents: list[tuple[dict[str, Any], list[dict[str, Any]]]], *, confirmed: bool
) -> None:
    """Every parent of the route, at the present generation."""
    stage = Stage()
    entries = [{"parentRef": ref, "conditions": conditions} for ref, conditions in parents]
    stage.edit("add", "/status", {"parents": entries})
    assert stage.seen.confirmed is confirmed


def _controlled(name: str) -> dict[str, Any]:
    return {"parents": [{"controllerName": name, "parentRef": PUBLIC}]}


ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"


@pytest.mark.parametrize(
    ("controller", "rule", "weight", "stable", "canary"),
    [
        pytest.param("traefik.io/gateway-controller", None, 5, "auth", "auth-canary", id="Traefik"),
        pytest.param("istio.io/gateway-controller", None, 5, "auth", "auth-canary", id="Istio"),
        pytest.param(
            ENVOY, "login", 5, None, None, id="Envoy Gateway: one cluster for both, so no names"
        ),
        pytest.param(
            ENVOY, None, 5, None, None, id="Envoy Gateway, two rules: no one name for a side"
        ),
    ],
)
def test_what_the_routers_metrics_call_the_sides(
    controller: str, rule: str | None, weight: int | None, stable: str | None, canary: str | None
) -> None:
    """Known from who controls the route."""
    stage = Stage(rule=rule)
    stage.edit("add", "/status", _controlled(controller))
    if weight is not None:
        stage.set_weight(weight)
    wanted = {Side.STABLE: stable, Side.CANARY: canary} if stable else {}
    assert stage.seen.backends == wanted


@pytest.mark.parametrize("weight", [None, 0, 5, 100], ids=lambda weight: f"weight {weight}")
def test_a_filter_of_the_users_sets_envoy_gateways_clusters_apart(weight: int | None) -> None:
    """Under the same names before, during and after a release."""
    stage = Stage(rule="login")
    stage.edit("add", "/status", _controlled(ENVOY))
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-none"]}}
    stage.edit("add", "/spec/rules/0/backendRefs/0/filters", [header])
    if weight is not None:
        stage.set_weight(weight)
    assert stage.seen.backends == {
        Side.STABLE: "auth/rule/0/backend/0",
        Side.CANARY: "auth/rule/0/backend/1",
    }
