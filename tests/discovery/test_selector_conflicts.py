"""What selects stable pods by a label that canary pods have another value of."""

from typing import Any

import pytest

from canary.discovery.label_selector import selector_matches
from canary.discovery.selector_conflicts import (
    CanaryLabels,
    find_affinity_conflicts,
    find_conflicts,
)

LABELS = CanaryLabels({"app": "auth", "tier": "api"}, {"app": "auth-canary"})
BY_APP = {"matchLabels": {"app": "auth"}}


def one(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object."""
    return {"kind": kind, "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "misses"),
    [
        pytest.param(one("NetworkPolicy", {"podSelector": BY_APP}), 1, id="a policy for the pods"),
        pytest.param(
            one("NetworkPolicy", {"podSelector": {"matchLabels": {"tier": "api"}}}),
            0,
            id="a policy by another label holds for both",
        ),
        pytest.param(one("NetworkPolicy", {"podSelector": {}}), 0, id="a policy for all pods"),
        pytest.param(
            one("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "db"}},
                                  "ingress": [{"from": [{"podSelector": BY_APP}]}]}),
            1,
            id="a database that lets only stable pods in",
        ),
        pytest.param(
            one("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "db"}},
                                  "egress": [{"to": [{"podSelector": BY_APP,
                                                      "namespaceSelector": {}}]}]}),
            0,
            id="pods of other namespaces are others",
        ),
        pytest.param(one("PodMonitor", {"selector": BY_APP}), 1, id="a monitor of the pods"),
        pytest.param(one("AuthorizationPolicy", {"selector": BY_APP}), 1, id="Istio's policy"),
        pytest.param(one("AuthorizationPolicy", {}), 0, id="Istio's policy for a namespace"),
        pytest.param(one("Sidecar", {"workloadSelector": {"labels": {"app": "auth"}}}), 1, id="a sidecar"),
        pytest.param(one("Server", {"podSelector": BY_APP}), 1, id="Linkerd's server"),
        pytest.param(one("CiliumNetworkPolicy", {"endpointSelector": BY_APP}), 1, id="Cilium's policy"),
        pytest.param(one("ServiceMonitor", {"selector": BY_APP}), 0, id="it selects Services"),
    ],
)  # fmt: skip
def test_objects_that_miss_canary_pods(found: dict[str, Any], misses: int) -> None:
    """One sentence each, with both values of the label."""
    sentences = list(find_conflicts([found], LABELS))
    assert len(sentences) == misses
    assert all("app: auth, and canary pods have auth-canary" in one for one in sentences)


def test_affinities_of_the_target_itself() -> None:
    """Required and preferred ones, and the spread over nodes."""
    term = {"labelSelector": BY_APP, "topologyKey": "kubernetes.io/hostname"}
    affinity = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [term],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": term}
            ],
        }
    }
    spec = {"affinity": affinity, "topologySpreadConstraints": [term]}
    assert len(list(find_affinity_conflicts({"spec": spec}, LABELS))) == 3
    assert list(find_affinity_conflicts({}, LABELS)) == []


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        pytest.param("In", ["auth", "web"], "selected", id="in"),
        pytest.param("NotIn", ["auth"], "left", id="not in"),
        pytest.param("Exists", None, "selected", id="exists"),
        pytest.param("DoesNotExist", None, "left", id="does not exist"),
        pytest.param(
            "Near", ["auth"], "left", id="an operator that does not exist selects nothing"
        ),
    ],
)
def test_expressions_select_as_in_kubernetes(
    operator: str, values: list[str] | None, expected: str
) -> None:
    """The four operators of a LabelSelector."""
    expression = {"key": "app", "operator": operator, "values": values}
    found = selector_matches({"matchExpressions": [expression]}, {"app": "auth"})
    assert found is (expected == "selected")
