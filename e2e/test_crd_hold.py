"""manifests/hold on a real API server: whatever a person does, an unvetted template does not roll."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.fixtures_manifests import NAMESPACE, ROOT, Kubectl, cluster

__all__ = ["cluster"]
NAME = "mani-hold"
HOLD = {"canary-controller.dev/hold": "auth"}
SELECTED = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
POD = {
    "containers": [
        {"name": "auth", "image": "localhost/none", "env": [{"name": "V", "value": "1"}]}
    ]
}
LABELS = {"app": "held"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "held", "namespace": NAMESPACE, "annotations": HOLD},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": POD},
    },
}


RELEASE = {
    "apiVersion": "canary-controller.dev/v1alpha1",
    "kind": "CanaryRelease",
    "metadata": {"name": "auth", "namespace": NAMESPACE},
    "spec": {
        "suspend": True,  # an operator that runs here has to leave the Deployment alone
        "target": {"name": "held"},
        "traffic": {"replicas": {}},
        "steps": [{"weight": 5}],
        "analysis": {"metrics": [{"name": "errors", "ratio": {"preset": "http"}}]},
    },
}


@pytest.fixture
def held(cluster: Kubectl) -> Iterator[Kubectl]:
    """kubectl, with a guarded Deployment and the policy bound to the tests' namespace only."""
    policy, binding = yaml.safe_load_all((ROOT / "manifests/hold/policy.yaml").read_text("utf-8"))
    for item in (policy, binding):
        item["metadata"]["name"] = NAME
    binding["spec"] |= {"policyName": NAME, "matchResources": SELECTED}
    applied = [cluster("apply", "-f", "-", stdin=json.dumps(item)) for item in (policy, binding)]
    if "no matches for kind" in applied[0].stderr:
        pytest.skip("this API server does not serve MutatingAdmissionPolicy v1")
    assert [done.returncode for done in applied] == [0, 0], applied[0].stderr
    for item in (RELEASE, DEPLOYMENT):
        made = cluster("create", "-f", "-", stdin=json.dumps(item))
        assert made.returncode == 0, made.stderr
    yield cluster
    cluster("-n", NAMESPACE, "delete", "canaryrelease", "--all")
    cluster("delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", NAME)
    cluster("-n", NAMESPACE, "delete", "deployment", "held")


def now(kubectl: Kubectl) -> dict[str, Any]:
    """The Deployment as it is."""
    return json.loads(kubectl("-n", NAMESPACE, "get", "deployment", "held", "-o", "json").stdout)


def is_held(deployment: dict[str, Any]) -> bool:
    """Paused, and still marked as guarded."""
    marked = HOLD.items() <= deployment["metadata"].get("annotations", {}).items()
    return marked and deployment["spec"].get("paused") is True


def in_force(kubectl: Kubectl) -> None:
    """A new policy counts a moment after it was written."""
    for attempt in range(50):
        kubectl("-n", NAMESPACE, "set", "env", "deployment/held", f"V=try-{attempt}")
        if is_held(now(kubectl)):
            return
    raise AssertionError(now(kubectl))


def test_a_release_that_was_deleted_holds_nothing(held: Kubectl) -> None:
    """Its annotation outlives it, and no operator runs: the Deployment rolls as any other."""
    in_force(held)
    held("-n", NAMESPACE, "delete", "canaryrelease", "auth")
    for attempt in range(50):
        held("-n", NAMESPACE, "rollout", "resume", "deployment/held")
        held("-n", NAMESPACE, "set", "env", "deployment/held", f"V=free-{attempt}")
        if not now(held)["spec"].get("paused"):
            break
    found = now(held)
    assert HOLD.items() <= found["metadata"]["annotations"].items()
    assert not found["spec"].get("paused")


def test_a_changed_template_is_held_in_the_same_write(held: Kubectl) -> None:
    """Set env, resume, and a replace that drops annotation and pause: held after each of them."""
    in_force(held)
    held("-n", NAMESPACE, "rollout", "resume", "deployment/held")
    assert is_held(now(held))
    bare = DEPLOYMENT | {"metadata": {"name": "held", "namespace": NAMESPACE}}
    replaced = held("replace", "-f", "-", stdin=json.dumps(bare))
    assert replaced.returncode == 0, replaced.stderr
    assert is_held(now(held))
