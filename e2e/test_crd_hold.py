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


@pytest.fixture
def held(cluster: Kubectl) -> Iterator[Kubectl]:
    """kubectl, with a guarded Deployment and the policy bound to the tests' namespace only."""
    policy, binding = yaml.safe_load_all((ROOT / "manifests/hold/policy.yaml").read_text("utf-8"))
    for item in (policy, binding):
        item["metadata"]["name"] = NAME
    binding["spec"] = {"policyName": NAME, "matchResources": SELECTED}
    applied = [cluster("apply", "-f", "-", stdin=json.dumps(item)) for item in (policy, binding)]
    if "no matches for kind" in applied[0].stderr:
        pytest.skip("this API server does not serve MutatingAdmissionPolicy v1")
    assert [done.returncode for done in applied] == [0, 0], applied[0].stderr
    cluster("create", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    yield cluster
    cluster("delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", NAME)
    cluster("-n", NAMESPACE, "delete", "deployment", "held")


def now(kubectl: Kubectl) -> dict[str, Any]:
    """The Deployment as it is."""
    return json.loads(kubectl("-n", NAMESPACE, "get", "deployment", "held", "-o", "json").stdout)


def is_held(deployment: dict[str, Any]) -> bool:
    """Paused, and still marked as guarded."""
    marked = HOLD.items() <= deployment["metadata"].get("annotations", {}).items()
    return marked and deployment["spec"].get("paused") is True


def test_a_changed_template_is_held_in_the_same_write(held: Kubectl) -> None:
    """Set env, resume, and a replace that drops annotation and pause: held after each of them."""
    for attempt in range(50):  # a new policy counts a moment after it was written
        held("-n", NAMESPACE, "set", "env", "deployment/held", f"V=try-{attempt}")
        if is_held(now(held)):
            break
    assert is_held(now(held))
    held("-n", NAMESPACE, "rollout", "resume", "deployment/held")
    assert is_held(now(held))
    bare = DEPLOYMENT | {"metadata": {"name": "held", "namespace": NAMESPACE}}
    replaced = held("replace", "-f", "-", stdin=json.dumps(bare))
    assert replaced.returncode == 0, replaced.stderr
    assert is_held(now(held))
