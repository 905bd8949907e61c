"""Weights that are numbers of pods: approximate, but 0 is 0."""

from typing import Any

import pytest

from canary.api import Intent, Release, Status
from canary.core.plan import RestoreRoute, SetWeight
from canary.core.snapshot import ReleaseResource
from canary.kube.objects import DEPLOYMENTS
from canary.routers.registry import router_of
from canary.routers.replicas import ReplicaRouter
from tests.kube.fake_cluster import FakeCluster
from tests.routers.golden_routes import build_resource


def deployment(name: str, wanted: int, ready: int, pods: int | None = None) -> dict[str, Any]:
    """A Deployment whose controller has seen it."""
    status = {"observedGeneration": 1, "replicas": pods or ready, "readyReplicas": ready}
    return {
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {"replicas": wanted},
        "status": status,
    }


def stage(
    canary: tuple[int, int] | None, weight: int = 0, intent: Intent = Intent.ADVANCE
) -> tuple[FakeCluster, ReplicaRouter, ReleaseResource]:
    """Ten stable pods and a canary (wanted, ready), at its only step of 5 %."""
    cluster = FakeCluster()
    cluster.put(DEPLOYMENTS, deployment("auth", 10, 10))
    if canary is not None:
        cluster.put(DEPLOYMENTS, deployment("auth-canary", *canary))
    release = Release(template="b", started_at=0, replicas=10)
    status = Status(intent=intent, release=release, weight=weight)
    asked = build_resource({"replicas": {}}, status=status)
    router = router_of(asked.spec.traffic, cluster)
    assert isinstance(router, ReplicaRouter)
    return cluster, router, asked


@pytest.mark.parametrize(
    ("canary", "intent", "meant", "weight", "confirmed", "at_rest"),
    [
        pytest.param(None, Intent.REST, 0, 0, True, True, id="no canary"),
        pytest.param((1, 0), Intent.ADVANCE, 0, 0, False, False, id="pods not ready"),
        pytest.param((1, 1), Intent.ADVANCE, 0, 0, True, False, id="ready, weight not meant yet"),
        pytest.param((1, 1), Intent.ADVANCE, 5, 5, True, False, id="as many as meant"),
        pytest.param((5, 5), Intent.ADVANCE, 5, 34, True, False, id="scaled up by somebody"),
        pytest.param((10, 10), Intent.PROMOTE, 100, 100, True, False, id="full size"),
        pytest.param((2, 2), Intent.ROLL_BACK, 0, 17, True, False, id="not to get any"),
        pytest.param((2, 0), Intent.ROLL_BACK, 0, 1, False, False, id="may get some any moment"),
        pytest.param((0, 0), Intent.ROLL_BACK, 0, 0, True, True, id="scaled down"),
        pytest.param((0, 1), Intent.ROLL_BACK, 0, 0, False, True, id="the last pod is going"),
    ],
)
def test_look(  # noqa: PLR0913 - one column each
    canary: tuple[int, int] | None,
    intent: Intent,
    meant: int,
    weight: int,
    *,
    confirmed: bool,
    at_rest: bool,
) -> None:
    """The weight that was meant while the canary is no larger than that, else the pods' share."""
    _, router, asked = stage(canary, meant, intent)
    route = router.read(asked)
    assert route is not None
    assert (route.weight, route.confirmed, route.at_rest) == (weight, confirmed, at_rest)
    assert not route.backends


@pytest.mark.parametrize("action", [SetWeight(0), RestoreRoute()], ids=str)
def test_nothing_is_no_pods(action: SetWeight | RestoreRoute) -> None:
    """The first write of a rollback scales the canary down; again it costs nothing."""
    cluster, router, asked = stage((2, 2), 5)
    writes = cluster.writes
    router.apply(asked, action)
    router.apply(asked, action)
    found = cluster.get(DEPLOYMENTS, "prod", "auth-canary")
    assert found is not None
    assert found["spec"]["replicas"] == 0
    assert cluster.writes == writes + 1


def test_a_rise_is_made_of_pods() -> None:
    """They are there before the weight is meant, so nothing is left to write."""
    cluster, router, asked = stage((2, 2))
    writes = cluster.writes
    router.apply(asked, SetWeight(5))
    assert cluster.writes == writes


def test_without_a_target() -> None:
    """None, and a sentence."""
    cluster, router, asked = stage(None)
    cluster.delete(DEPLOYMENTS, "prod", "auth", "Background")
    assert router.read(asked) is None
    assert router.find_problem(asked) == "Deployment auth does not exist in namespace prod."
