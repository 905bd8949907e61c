"""A real API server takes what is installed, and its PodSecurity lets the operator's pod in."""

import json

import yaml

from e2e.fixtures_manifests import NAMESPACE, ROOT, Kubectl, cluster

__all__ = ["cluster"]


def installed() -> list[dict]:
    """The objects of install.yaml and of the hold, moved to the tests' namespace."""
    folder = ROOT / "manifests"
    texts = [(folder / name).read_text("utf-8") for name in ("install.yaml", "hold/policy.yaml")]
    items = [item for text in texts for item in yaml.safe_load_all(text)]
    for item in items:
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = NAMESPACE
    return items


def test_everything_that_is_installed_is_valid(cluster: Kubectl) -> None:
    """Unknown fields are errors, and no object is refused."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": installed()})
    done = cluster(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", stdin=items
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serverside-applied") == len(installed())


def test_the_restricted_standard_lets_the_operator_in(cluster: Kubectl) -> None:
    """In a namespace that enforces `restricted`, the pod of the Deployment is admitted."""
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    cluster("label", "namespace", NAMESPACE, enforce, "--overwrite")
    (template,) = (item["spec"]["template"] for item in installed() if item["kind"] == "Deployment")
    spec = template["spec"] | {"serviceAccountName": "default"}
    meta = {"name": "operator", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    done = cluster("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode == 0, done.stderr


def test_kubectl_explain_says_what_is_allowed(cluster: Kubectl) -> None:
    """A field's docstring, its range and its default are one command away."""
    done = cluster("explain", "canaryreleases.spec.steps.duration")
    assert "Minimum time at this weight. Allowed: a duration from 0s to 744h" in " ".join(
        done.stdout.split()
    )
    assert "Default: 2m." in done.stdout
