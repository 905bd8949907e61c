"""The shell of all routers on an API server in memory: conflicts, drift, crashes, absences."""

import json
from dataclasses import replace
from typing import Any

import pytest

from canary.core.plan import RestoreRoute, SetWeight
from canary.errors import ConflictError, TransientError
from canary.kube import claims
from canary.kube.objects import HTTP_ROUTES, Kind
from canary.routers.gateway_api import HTTP_ROUTE
from canary.routers.split import SAVED_WEIGHTS
from tests.routers.fixtures_route import EVERY, RouteOnFakeCluster


@EVERY
def test_through_a_release(name: str) -> None:
    """Every weight is read as it was written, and at the end the route is the user's."""
    stage = RouteOnFakeCluster(name)
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
    stage = RouteOnFakeCluster(name)
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
    stage = RouteOnFakeCluster(name)
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
        stage.router.apply(stage.resource, RestoreRoute() if restore else SetWeight(50))
    assert stage.seen.weight == (5 if restore else 0)
    stage.router.apply(stage.resource, RestoreRoute() if restore else SetWeight(50))
    assert stage.seen.weight == (0 if restore else 50)
    assert "theirs" in str(stage.route["spec"])


def test_what_the_gateway_writes_is_no_conflict() -> None:
    """Its status moves the resourceVersion, and refuses no rollback."""
    stage = RouteOnFakeCluster()
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
    stage = RouteOnFakeCluster()

    def down(*_: object) -> None:
        raise TransientError("connection refused")

    stage.cluster.before = down
    with pytest.raises(TransientError):
        stage.set_weight(50)
    with pytest.raises(TransientError):
        stage.router.read(stage.resource)


def test_a_weight_that_somebody_else_wrote() -> None:
    """It is read as it is, rounded up, and putting it right does not lose the original."""
    stage = RouteOnFakeCluster()
    stage.set_weight(5)
    stage.edit("replace", "/spec/rules/0/backendRefs/0/weight", 200)
    stage.edit("replace", "/spec/rules/0/backendRefs/1/weight", 100)
    assert stage.seen.weight == 34
    stage.set_weight(5)
    stage.restore()
    assert stage.route["spec"] == stage.before["spec"]


def test_the_largest_of_several_rules_counts() -> None:
    """Less than is seen may flow, never more; writing again puts all rules right."""
    stage = RouteOnFakeCluster()
    stage.set_weight(5)
    rule = stage.route["spec"]["rules"][0]
    stage.edit("replace", "/spec/rules/0", {**rule, "backendRefs": rule["backendRefs"][:1]})
    assert stage.seen.weight == 5
    stage.set_weight(5)
    assert [ref["weight"] for ref in stage.route["spec"]["rules"][0]["backendRefs"]] == [95, 5]


def test_a_user_who_changes_the_ratio_to_others_keeps_it() -> None:
    """The memory is believed for the split between the sides, not for what a person changed."""
    stage = RouteOnFakeCluster(rule=None)
    stage.set_weight(5)
    stage.edit("replace", "/spec/rules/1/backendRefs/0/weight", 400)
    stage.restore()
    legacy, auth = stage.route["spec"]["rules"][1]["backendRefs"]
    assert (legacy["weight"], auth["weight"]) == (400, 400)


def test_applied_again_with_our_annotation_left_over() -> None:
    """Client-side apply keeps annotations that it does not know: not at rest until it is gone."""
    stage = RouteOnFakeCluster()
    stage.set_weight(5)
    stage.edit("replace", "/spec", stage.before["spec"])
    assert (stage.seen.weight, stage.seen.at_rest) == (0, False)
    stage.restore()
    assert stage.seen.at_rest
    assert SAVED_WEIGHTS not in stage.route["metadata"]["annotations"]


@pytest.mark.parametrize("order", [("auth", "cart"), ("cart", "auth")], ids=" then ".join)
@pytest.mark.parametrize("apart", [True, False], ids=["a rule each", "in one rule"])
def test_r01_c04_two_releases_on_one_route(order: tuple[str, str], *, apart: bool) -> None:
    """Memory and claim outlive the first that ends; then the route is as it was, to the byte."""
    stage = RouteOnFakeCluster()
    auth, cart = ({"name": name, "port": 8080} for name in ("auth", "cart"))
    rules = [[auth], [cart]] if apart else [[{**auth, "weight": 50}, {**cart, "weight": 50}]]
    stage.edit("replace", "/spec/rules", [{"backendRefs": refs} for refs in rules])
    before = json.dumps({**stage.route, "metadata": stage.route["metadata"]["annotations"]})
    spec = stage.resource.spec
    second = spec.model_copy(update={"target": spec.target.model_copy(update={"name": "cart"})})
    wishes = {"auth": stage.resource, "cart": replace(stage.resource, name="cart", spec=second)}
    stage.router.apply(wishes["auth"], SetWeight(5))
    stage.router.apply(wishes["cart"], SetWeight(20))
    stage.router.apply(wishes["auth"], SetWeight(50))
    claim = {"manager": claims.MANAGER, "fieldsV1": {"f:spec": {"f:rules": {}}}}
    stage.edit("add", "/metadata/managedFields", [claim])
    weights = {name: stage.router.read(resource) for name, resource in wishes.items()}
    assert [route and route.weight for route in weights.values()] == [50, 20]
    first, last = order
    stage.router.apply(wishes[first], RestoreRoute())
    ended, other = (stage.router.read(wishes[name]) for name in order)
    assert ended is not None
    assert other is not None
    assert (ended.weight, ended.at_rest, other.at_rest) == (0, True, False)
    assert other.weight == {"auth": 50, "cart": 20}[last]
    assert claims.find_own_claim(stage.route, HTTP_ROUTE.at) is not None, "an apply still conflicts"
    stage.router.apply(wishes[last], RestoreRoute())
    after = json.dumps({**stage.route, "metadata": stage.route["metadata"]["annotations"]})
    assert after == before
    assert claims.find_own_claim(stage.route, HTTP_ROUTE.at) is None, "no claim is left"


def test_two_releases_that_write_at_once() -> None:
    """The slower is refused, and has lost nothing of the quicker one's when it tries again."""
    stage = RouteOnFakeCluster()
    stage.edit("replace", "/spec/rules", [{"backendRefs": [{"name": n} for n in ("auth", "cart")]}])
    spec = stage.resource.spec
    second = spec.model_copy(update={"target": spec.target.model_copy(update={"name": "cart"})})
    cart = replace(stage.resource, name="cart", spec=second)

    def between(verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
        if verb == "patch":
            stage.cluster.before = None
            stage.router.apply(cart, SetWeight(20))

    stage.cluster.before = between
    with pytest.raises(ConflictError):
        stage.set_weight(5)
    stage.set_weight(5)
    seen = stage.router.read(cart)
    assert seen is not None
    assert (stage.seen.weight, seen.weight) == (5, 20)


@pytest.mark.parametrize(
    "note",
    [
        "{",
        "[]",
        '{"releases":{"auth":1},"rules":[]}',
        '{"0":"x"}',
        '{"0":[-1]}',
        '{"0":[1,2,3]}',
        "null",
    ],
)
def test_a_memory_that_somebody_spoilt(note: str) -> None:
    """The shares are put back all the same."""
    stage = RouteOnFakeCluster()
    stage.set_weight(5)
    stage.edit("replace", f"/metadata/annotations/{SAVED_WEIGHTS.replace('/', '~1')}", note)
    stage.restore()
    assert stage.seen.at_rest
    first, second = (rule["backendRefs"] for rule in stage.route["spec"]["rules"][:2])
    assert [(ref["name"], ref["weight"]) for ref in first] == [("auth", 100)]
    assert [(ref["name"], ref["weight"]) for ref in second] == [("legacy", 100), ("auth", 400)]


def test_a_named_rule_alone_is_weighted() -> None:
    """Other rules that send to the Service stay as they are."""
    stage = RouteOnFakeCluster(rule="login")
    stage.set_weight(5)
    assert stage.route["spec"]["rules"][1:] == stage.before["spec"]["rules"][1:]
    assert stage.seen.weight == 5


def test_a_rule_renamed_in_mid_release() -> None:
    """Our backend is found and removed wherever it is; a rise is refused."""
    stage = RouteOnFakeCluster(rule="login")
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
    stage = RouteOnFakeCluster(**traffic)
    stage.edit("add", path, value)
    assert stage.router.find_problem(stage.resource) == sentence
    if sentence is None:
        return
    assert stage.router.read(stage.resource) is None
    writes = stage.cluster.writes
    stage.set_weight(0)
    stage.restore()
    assert stage.cluster.writes == writes
    with pytest.raises(ConflictError):
        stage.set_weight(5)


@EVERY
def test_a_kind_that_the_cluster_does_not_serve(name: str) -> None:
    """Nothing there, nothing to restore, and a sentence that says why."""
    stage = RouteOnFakeCluster(name)
    stage.cluster.unserved.add(stage.kind)
    assert stage.router.read(stage.resource) is None
    stage.restore()
    stage.set_weight(0)
    assert "does not serve" in (stage.router.find_problem(stage.resource) or "")


def test_a_route_that_is_not_there() -> None:
    """As above, in other words."""
    stage = RouteOnFakeCluster(name="http_route")
    stage.cluster.delete(HTTP_ROUTES, "prod", "auth", "Background")
    assert stage.router.read(stage.resource) is None
    stage.restore()
    stage.set_weight(0)
    with pytest.raises(ConflictError, match="HTTPRoute auth does not exist in namespace prod"):
        stage.set_weight(1)
