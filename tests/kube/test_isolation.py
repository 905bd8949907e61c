"""No Service but ours selects a canary pod: which labels differ, and what is in the way."""

from copy import deepcopy
from typing import Any

import pytest

from canary.core.plan import EnsureCanary
from canary.core.snapshot import Obstacle
from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.kube.workloads.isolation import canary_labels, choose_replacements, selecting_services
from tests.kube.fixtures_release import (
    DEPLOYMENT,
    NAMESPACE,
    ReleaseOnFakeCluster,
    build_deployment,
)

OTHER = """
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: prod}
spec: {selector: {tier: api}, ports: [{port: 80}]}
"""


def service(name: str, selector: dict[str, str] | None, **spec: Any) -> Object:
    """A Service of the namespace."""
    return {"metadata": {"name": name}, "spec": {"selector": selector, **spec}}


def target(pods: dict[str, str], own: dict[str, str]) -> Object:
    """A Deployment named auth with these pod labels and this selector."""
    body = deepcopy(build_deployment(DEPLOYMENT))
    body["spec"]["template"]["metadata"]["labels"] = pods
    body["spec"]["selector"] = {"matchLabels": own}
    return body


AUTH = service("auth", {"app": "auth"})
CASES = [
    pytest.param([AUTH], {"app": "auth-canary"}, id="one Service: one label"),
    pytest.param(
        [AUTH, service("backend", {"tier": "api"})],
        {"app": "auth-canary", "tier": "api-canary"},
        id="m16, c03: another Service selects by a label of its own",
    ),
    pytest.param(
        [service("auth", {"app": "auth", "tier": "api"}), service("x", {"tier": "api"})],
        {"app": "auth-canary", "tier": "api-canary"},
        id="the label that most selectors have comes first",
    ),
    pytest.param(
        [AUTH, service("other", {"app": "other"}), service("none", None), service("all", {})],
        {"app": "auth-canary"},
        id="Services of other pods, and of none, do not count",
    ),
    pytest.param(
        [AUTH, service("dns", {"tier": "api"}, type="ExternalName")],
        {"app": "auth-canary"},
        id="an ExternalName selects nothing",
    ),
    pytest.param(
        [AUTH, service("auth-canary", {"app": "auth-canary"})],
        {"app": "auth-canary"},
        id="the canary's own Service may",
    ),
    pytest.param(
        [AUTH, service("odd", {"app": "auth-canary", "tier": "api"})],
        {"app": "auth-canary", "tier": "api-canary"},
        id="a Service selects the value that canary pods would get",
    ),
]


@pytest.mark.parametrize(("services", "replaced"), CASES)
def test_no_service_selects_pods_with_the_replaced_labels(
    services: list[Object], replaced: dict[str, str]
) -> None:
    """As few labels as are needed, and then indeed none selects."""
    owner = target({"app": "auth", "tier": "api", "team": "a"}, {"app": "auth"})
    assert choose_replacements(owner, services) == replaced
    pods = canary_labels(owner["spec"]["template"], replaced)
    assert selecting_services(services, "auth", pods) == {}


OBSTACLES = [
    pytest.param(
        [service("mesh", {"sidecar.istio.io/inject": "true"})], (), "Service mesh", id="a switch"
    ),
    pytest.param(
        [service("zone", {"topology.istio.io/network": "n1"})], (), "Service zone", id="a mesh's"
    ),
    pytest.param(
        [service("odd", {"app": "auth-canary"})], (), "Service odd", id="the canary's value alone"
    ),
    pytest.param(
        [service("backend", {"tier": "api"})],
        ("app",),
        "Expected one of these labels in isolation.labels",
        id="labels that a person named, and too few",
    ),
    pytest.param(
        [], ("app", "nope"), "isolation.labels names nope", id="a label that is not there"
    ),
]


@pytest.mark.parametrize(("services", "chosen", "message"), OBSTACLES)
def test_what_cannot_be_isolated_is_named(
    services: list[Object], chosen: tuple[str, ...], message: str
) -> None:
    """Labels that change what a pod is are never replaced."""
    pods = {
        "app": "auth",
        "tier": "api",
        "sidecar.istio.io/inject": "true",
        "topology.istio.io/network": "n1",
    }
    found = choose_replacements(target(pods, {"app": "auth"}), [AUTH, *services], chosen)
    assert isinstance(found, Obstacle)
    assert message in found.message


def test_the_deployments_own_selector_counts_too() -> None:
    """Autoscalers count pods by it."""
    owner = target({"app": "auth", "tier": "api"}, {"app": "auth"})
    found = choose_replacements(owner, [service("auth", {"tier": "api"})], ("tier",))
    assert isinstance(found, Obstacle)
    assert found.message.startswith("The selector of Deployment auth")


def test_m16_a_second_service_never_selects_canary_pods() -> None:
    """Computed from the Services of the namespace when the canary is made."""
    stage = ReleaseOnFakeCluster()
    stage.cluster.create(SERVICES, NAMESPACE, build_deployment(OTHER))
    stage.workloads.apply(stage.resource(), EnsureCanary(stage.change(paused=True), 2))
    canary = stage.workloads.read(stage.resource()).canary
    assert canary is not None
    assert canary.selected_by == ()
    labels = stage.deployment("auth-canary")["spec"]["template"]["metadata"]["labels"]
    assert (labels["app"], labels["tier"]) == ("auth-canary", "api-canary")


def test_c03_a_service_that_comes_in_mid_release_is_seen() -> None:
    """The labels of running pods stay, so whoever selects them now is named."""
    stage = ReleaseOnFakeCluster()
    stage.workloads.apply(stage.resource(), EnsureCanary(stage.change(paused=True), 2))
    stage.cluster.create(SERVICES, NAMESPACE, build_deployment(OTHER))
    canary = stage.workloads.read(stage.resource()).canary
    assert canary is not None
    assert canary.selected_by == ("backend",)


def test_the_canary_service_finds_its_own_canary_only() -> None:
    """Two Deployments behind one Service differ by their own selectors."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    body["spec"]["selector"]["matchLabels"]["track"] = "a"
    body["spec"]["template"]["metadata"]["labels"]["track"] = "a"
    stage.cluster.put(DEPLOYMENTS, body)
    stage.workloads.apply(stage.resource(), EnsureCanary(stage.change(paused=True), 2))
    made = stage.cluster.get(SERVICES, NAMESPACE, "auth-canary")
    assert made is not None
    pods = stage.deployment("auth-canary")["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"].items() <= pods.items()
    assert made["spec"]["selector"]["track"] == "a"


def test_c06_the_canary_has_the_labels_of_the_deployment_itself() -> None:
    """Admission policies demand a team of every Deployment."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    body["metadata"]["labels"] = {"team": "identity", "app.kubernetes.io/managed-by": "Helm"}
    stage.cluster.put(DEPLOYMENTS, body)
    stage.workloads.apply(stage.resource(), EnsureCanary(stage.change(paused=True), 2))
    labels = stage.deployment("auth-canary")["metadata"]["labels"]
    assert labels["team"] == "identity"
    assert labels["app.kubernetes.io/managed-by"] == "canary-controller"
