"""Which releases a change concerns."""

from typing import Any

import pytest

from canary.interfaces import Key
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    GRPC_ROUTES,
    HTTP_ROUTES,
    JOBS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    VIRTUAL_SERVICES,
    Kind,
    Object,
)
from canary.operator.release_index import ReleaseIndex

AUTH, SHOP = Key("prod", "auth"), Key("prod", "shop")


def release(name: str = "auth", **spec: Any) -> Object:
    """A CanaryRelease of that name."""
    traffic = {"gatewayAPI": {"name": "front"}}
    spec = {"target": {"name": name}, "traffic": traffic, **spec}
    return {"metadata": {"namespace": "prod", "name": name, "uid": name}, "spec": spec}


def item(
    name: str, owner: tuple[str, str] | None = None, namespace: str = "prod", **rest: Any
) -> Object:
    """Any object."""
    owners = [{"kind": owner[0], "name": owner[1]}] if owner else []
    return {"metadata": {"namespace": namespace, "name": name, "ownerReferences": owners}, **rest}


CASES = [
    pytest.param(DEPLOYMENTS, item("auth"), {AUTH}, id="the target"),
    pytest.param(DEPLOYMENTS, item("auth-canary"), {AUTH}, id="the canary"),
    pytest.param(DEPLOYMENTS, item("auth", namespace="test"), set(), id="the same name elsewhere"),
    pytest.param(REPLICA_SETS, item("auth-1", ("Deployment", "auth")), {AUTH}, id="a ReplicaSet"),
    pytest.param(PODS, item("x", ("ReplicaSet", "auth-canary-7f9")), {AUTH}, id="a canary pod"),
    pytest.param(PODS, item("x", ("Job", "smoke")), set(), id="a pod of a Job"),
    pytest.param(PODS, item("x"), set(), id="a pod of nobody"),
    pytest.param(JOBS, item("x", ("CanaryRelease", "auth")), {AUTH}, id="a check's Job"),
    pytest.param(
        SERVICES, item("login"), {AUTH, SHOP}, id="any Service: it may select canary pods"
    ),
    pytest.param(SERVICES, item("login", namespace="test"), set(), id="a Service elsewhere"),
    pytest.param(HTTP_ROUTES, item("front"), {AUTH}, id="the route"),
    pytest.param(GRPC_ROUTES, item("front"), {SHOP}, id="a route of another kind"),
    pytest.param(VIRTUAL_SERVICES, item("front"), set(), id="a route of a kind that is not used"),
    pytest.param(
        AUTOSCALERS,
        item("scaler", spec={"scaleTargetRef": {"name": "auth"}}),
        {AUTH},
        id="an autoscaler of the target",
    ),
    pytest.param(
        RELEASES, item("other", spec={"target": {"name": "auth"}}), {AUTH}, id="a rival release"
    ),
    pytest.param(RELEASES, item("other", spec={"target": "auth"}), set(), id="a broken release"),
]


@pytest.fixture
def subjects() -> ReleaseIndex:
    """Two releases, one with a GRPCRoute and a Service of another name."""
    known = ReleaseIndex()
    known.update(release(), AUTH)
    grpc = {"gatewayAPI": {"kind": "GRPCRoute", "name": "front"}}
    known.update(release("shop", traffic=grpc, service={"name": "login"}), SHOP)
    return known


@pytest.mark.parametrize(("kind", "changed", "expected"), CASES)
def test_concerned(subjects: ReleaseIndex, kind: Kind, changed: Object, expected: set[Key]) -> None:
    """A change is mapped by owner, by target and by route."""
    assert subjects.find_releases(kind, changed) == expected


def test_each_of_several_routes_concerns_the_release(subjects: ReleaseIndex) -> None:
    """Whatever its kind; what is no list of routes names none."""
    routes = [{"gatewayAPI": {"name": "web"}}, {"istio": {"virtualService": "mesh"}}, "x"]
    subjects.update(release(traffic={"routes": routes}), AUTH)
    assert subjects.find_releases(HTTP_ROUTES, item("web")) == {AUTH}
    assert subjects.find_releases(VIRTUAL_SERVICES, item("mesh")) == {AUTH}
    assert subjects.find_releases(HTTP_ROUTES, item("front")) == set()
    subjects.update(release(traffic={"routes": 3}), AUTH)
    assert subjects.find_releases(HTTP_ROUTES, item("web")) == set()


def test_moved_and_gone(subjects: ReleaseIndex) -> None:
    """A release that changes its target is found by the new one; one that is gone by none."""
    subjects.update(release(target={"name": "api"}), AUTH)
    assert subjects.find_releases(DEPLOYMENTS, item("auth")) == set()
    assert subjects.find_releases(DEPLOYMENTS, item("api")) == {AUTH}
    subjects.update(None, AUTH)
    assert subjects.find_releases(DEPLOYMENTS, item("api")) == set()
