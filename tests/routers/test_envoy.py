"""Envoy Gateway with a cluster for each backend: a trace in place of weight 0."""

from typing import Any

import pytest

from canary.routers.shares import WeightSplit
from tests.routers.fixtures_route import RouteOnFakeCluster

ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"
FILTER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-none"]}}


class Envoy(RouteOnFakeCluster):
    """A route whose backend has a filter, and Envoy Gateway's word on it."""

    def __init__(self, controller: str = ENVOY, *, filtered: bool = True) -> None:
        super().__init__(rule="login")
        if filtered:
            self.edit("add", "/spec/rules/0/backendRefs/0/filters", [FILTER])
        self.before = self.route
        self._controller = controller
        self.answer()

    def answer(self, resolved: str = "True") -> None:
        """The controller looks at the route as it is now."""
        generation = self.route["metadata"]["generation"]
        told = {"observedGeneration": generation}
        conditions = [
            {"type": "Accepted", "status": "True", **told},
            {"type": "ResolvedRefs", "status": resolved, **told},
        ]
        parents = [
            {"parentRef": ref, "controllerName": self._controller, "conditions": conditions}
            for ref in self.route["spec"]["parentRefs"]
        ]
        self.edit("add", "/status", {"parents": parents})

    @property
    def weights(self) -> list[int | None]:
        """As they are written, stable's first."""
        refs: list[dict[str, Any]] = self.route["spec"]["rules"][0]["backendRefs"]
        return [ref.get("weight") for ref in refs]


@pytest.fixture
def envoy() -> Envoy:
    """At rest."""
    return Envoy()


def test_the_first_weight_is_a_trace_until_envoy_knows_the_canary(envoy: Envoy) -> None:
    """It is read as 0, so it is asked for again; the real one waits for Envoy Gateway's word."""
    envoy.set_weight(5)
    assert (envoy.weights, envoy.seen.weight, envoy.seen.at_rest) == ([999_999, 1], 0, False)
    envoy.set_weight(5)
    assert envoy.weights == [999_999, 1], "not confirmed yet"
    envoy.answer()
    envoy.set_weight(5)
    assert (envoy.weights, envoy.seen.weight) == ([95, 5], 5)


def test_a_side_that_has_nothing_keeps_a_trace(envoy: Envoy) -> None:
    """At 100 % and at 0 both clusters stay; from one to the other no write is in between."""
    envoy.set_weight(5)
    envoy.answer()
    for weight, written in ((50, [50, 50]), (100, [1, 999_999]), (0, [999_999, 1])):
        envoy.set_weight(weight)
        assert (envoy.weights, envoy.seen.weight) == (written, weight)


def test_a_route_is_restored_by_way_of_a_trace(envoy: Envoy) -> None:
    """Once Envoy Gateway has seen the trace, even if it cannot resolve the canary any more."""
    envoy.set_weight(5)
    envoy.answer()
    envoy.set_weight(100)
    envoy.restore()
    envoy.restore()
    assert (envoy.weights, envoy.seen.at_rest) == ([999_999, 1], False)
    envoy.answer(resolved="False")
    envoy.restore()
    assert envoy.seen.at_rest
    assert envoy.route["spec"] == envoy.before["spec"]


@pytest.mark.parametrize(
    "envoy",
    [
        pytest.param(Envoy(filtered=False), id="one cluster for both"),
        pytest.param(Envoy("traefik.io/gateway-controller"), id="another controller"),
    ],
)
def test_elsewhere_nothing_is_nothing(envoy: Envoy) -> None:
    """Weights are written at once, and 0 is 0."""
    envoy.set_weight(100)
    assert envoy.weights == [0, 100]
    envoy.set_weight(0)
    assert envoy.weights == [100, 0]
    envoy.restore()
    assert envoy.seen.at_rest


@pytest.mark.parametrize(
    ("share", "traced"),
    [
        pytest.param(
            WeightSplit((100,), (0,)), WeightSplit((999_999,), (1,)), id="nothing for the canary"
        ),
        pytest.param(
            WeightSplit((0,), (100,)), WeightSplit((1,), (999_999,)), id="nothing for stable"
        ),
        pytest.param(WeightSplit((95,), (5,)), WeightSplit((95,), (5,)), id="something for both"),
        pytest.param(
            WeightSplit((100, 0), (0, 0), (400,)),
            WeightSplit((249_999, 0), (1, 0), (1_000_000,)),
            id="others keep their share, and what the user turned off stays off",
        ),
        pytest.param(
            WeightSplit((100,), (0,), (9900,)),
            WeightSplit((100,), (0,), (9900,)),
            id="beside so much, one in the largest weight is more than a trace",
        ),
    ],
)
def test_a_trace(share: WeightSplit, traced: WeightSplit) -> None:
    """One in a million, or nothing where that cannot be written; the shares are the same."""
    assert share.with_trace(1_000_000) == traced
    assert traced.percent == share.percent
