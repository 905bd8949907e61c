"""The optional fence around the operator's account, with every right in a namespace."""

from collections.abc import Iterator

import pytest

from e2e.fixtures_manifests import NAMESPACE, ROOT, Kubectl, cluster
from e2e.harness.kubectl import wait_for

__all__ = ["cluster"]
POLICY = str(ROOT / "manifests/fence")
US = "system:serviceaccount:canary-system:canary"
RIGHTS = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: stolen, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects:
- {{kind: ServiceAccount, name: canary, namespace: canary-system}}
"""
OWNED = """
  ownerReferences:
  - {apiVersion: canary-controller.dev/v1alpha1, kind: CanaryRelease, name: auth, uid: u1, controller: true}
"""


def service(name: str, owner: str = "") -> str:
    """A Service, and whose it is."""
    return f"""
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {NAMESPACE}{owner or ""}
spec: {{ports: [{{port: 80}}], selector: {{app: {name}}}}}
"""


def deployment(name: str) -> str:
    """A user's Deployment."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: 'localhost/none:1'}}]}}
"""


@pytest.fixture
def fenced(cluster: Kubectl) -> Iterator[Kubectl]:
    """An account with all rights in the namespace, and the policy in force."""
    for text in (RIGHTS, service("theirs"), deployment("theirs")):
        done = cluster("apply", "-f", "-", stdin=text)
        assert done.returncode == 0, done.stderr
    applied = cluster("apply", "-k", POLICY)
    assert applied.returncode == 0, applied.stderr
    wait_for(
        "the policy",
        lambda: bool(refusal(cluster, "delete", "service", "theirs", "--dry-run=server")),
        30,
    )
    yield cluster
    cluster("delete", "-k", POLICY)
    cluster("delete", "rolebinding", "stolen", "-n", NAMESPACE)


def refusal(cluster: Kubectl, *words: str, stdin: str = "") -> str:
    """What the policy says to the operator's account; empty when it lets it through."""
    done = cluster("--as", US, "-n", NAMESPACE, *words, stdin=stdin)
    if done.returncode == 0:
        return ""
    assert "canary-fence" in done.stderr, done.stderr
    return done.stderr


def patched(cluster: Kubectl, what: str, patch: str) -> str:
    """What the policy says to a merge patch."""
    return refusal(cluster, "patch", what, "theirs", "--type=merge", "-p", patch)


def test_the_account_makes_and_deletes_only_what_a_release_owns(fenced: Kubectl) -> None:
    """Every right of RBAC does not help."""
    assert "only what a CanaryRelease owns" in refusal(
        fenced, "create", "-f", "-", stdin=service("mine")
    )
    assert "only what a CanaryRelease owns" in refusal(
        fenced, "create", "-f", "-", stdin=deployment("mine")
    )
    assert "only what a CanaryRelease owns" in refusal(fenced, "delete", "service", "theirs")
    assert "only what a CanaryRelease owns" in refusal(fenced, "delete", "deployment", "theirs")
    owned = service("owned", OWNED.rstrip())
    assert not refusal(fenced, "create", "--dry-run=server", "-f", "-", stdin=owned)


def test_the_account_changes_of_others_objects_what_a_release_changes(fenced: Kubectl) -> None:
    """A Deployment that it holds, and there the template; no Service and no number of pods."""
    template = '"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}'
    hold = '"metadata":{"annotations":{"canary-controller.dev/hold":"auth"}}'
    assert "only the Services that it made" in patched(
        fenced, "service", '{"spec":{"selector":{"app":"x"}}}'
    )
    assert "while it holds it" in patched(fenced, "deployment", f"{{{template}}}")
    assert not patched(fenced, "deployment", f"{{{hold}}}")
    assert not patched(fenced, "deployment", f"{{{template}}}")
    assert not patched(fenced, "deployment", '{"spec":{"paused":true}}')
    assert "while it holds it" in patched(fenced, "deployment", '{"spec":{"replicas":9}}')
    assert "whose an object is" in patched(
        fenced,
        "deployment",
        '{"metadata":{"ownerReferences":[{"apiVersion":"canary-controller.dev/v1alpha1",'
        '"kind":"CanaryRelease","name":"auth","uid":"u1","controller":true}]}}',
    )


def test_the_account_changes_nothing_of_kubernetes(fenced: Kubectl) -> None:
    """Not even with a right there."""
    done = fenced(
        "--as", US, "--as-group", "system:masters", "-n", "kube-system", "create", "--dry-run=server",
        "-f", "-", stdin=service("owned", OWNED.rstrip()).replace(NAMESPACE, "kube-system"),
    )  # fmt: skip
    assert "namespaces of Kubernetes" in done.stderr
