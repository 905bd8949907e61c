"""What is seen of a route: who wrote it, whether it is confirmed, what metrics call the sides."""

from typing import Any

import pytest

from canary.core.increments import Side
from canary.kube import claims
from canary.kube.client import FIELD_MANAGER
from tests.routers.fixtures_route import RouteOnFakeCluster


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
    stage = RouteOnFakeCluster()
    stage.edit("add", "/metadata/managedFields", claims)
    assert (stage.seen.writer, stage.seen.at_rest) == (writer, at_rest)
    stage.restore()
    assert stage.seen.at_rest


def test_the_manager_is_the_clients() -> None:
    """Our writes are told from others' by the name under which the client makes them."""
    assert claims.MANAGER == FIELD_MANAGER


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
    stage = RouteOnFakeCluster()
    entries = [{"parentRef": ref, "conditions": conditions} for ref, conditions in parents]
    stage.edit("add", "/status", {"parents": entries})
    assert stage.seen.confirmed is confirmed


@pytest.mark.parametrize(
    ("status", "generation", "refused"),
    [
        pytest.param("False", 1, True, id="a backend is refused"),
        pytest.param("False", 0, False, id="it was refused before it was changed"),
        pytest.param("Unknown", 1, False, id="nobody knows yet"),
        pytest.param("True", 1, False, id="it is served"),
    ],
)
def test_what_a_gateway_refuses_is_said(status: str, generation: int, *, refused: bool) -> None:
    """Not confirmed is not refused: only what is said of the route as it is now counts."""
    stage = RouteOnFakeCluster()
    conditions = [GOOD[0], _condition("ResolvedRefs", status, generation)]
    stage.edit("add", "/status", {"parents": [{"parentRef": PUBLIC, "conditions": conditions}]})
    found = stage.seen.refused
    assert (found is not None) is refused
    assert found is None or found.startswith("Gateway public does not serve HTTPRoute auth")


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
    stage = RouteOnFakeCluster(rule=rule)
    stage.edit("add", "/status", _controlled(controller))
    if weight is not None:
        stage.set_weight(weight)
    wanted = {Side.STABLE: stable, Side.CANARY: canary} if stable else {}
    assert stage.seen.backends == wanted


@pytest.mark.parametrize("weight", [None, 0, 5, 100], ids=lambda weight: f"weight {weight}")
def test_a_filter_of_the_users_sets_envoy_gateways_clusters_apart(weight: int | None) -> None:
    """Under the same names before, during and after a release."""
    stage = RouteOnFakeCluster(rule="login")
    stage.edit("add", "/status", _controlled(ENVOY))
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-none"]}}
    stage.edit("add", "/spec/rules/0/backendRefs/0/filters", [header])
    if weight is not None:
        stage.set_weight(weight)
    assert stage.seen.backends == {
        Side.STABLE: "auth/rule/0/backend/0",
        Side.CANARY: "auth/rule/0/backend/1",
    }
