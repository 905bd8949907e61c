"""The optional policy on commands: whose name a request carries, and who may promote."""

import json
from collections.abc import Iterator
from itertools import count

import pytest

from canary.kube.workloads.names import REQUEST
from e2e.fixtures_manifests import NAMESPACE, ROOT, Kubectl, cluster
from e2e.harness.kubectl import wait_for

__all__ = ["cluster"]
POLICY = str(ROOT / "manifests/requests")
RELEASE = f"""
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {{name: asked, namespace: {NAMESPACE}}}
spec:
  target: {{name: asked}}
  traffic: {{replicas: {{}}}}
  steps: [{{weight: 5}}]
  analysis: {{metrics: [{{name: errors, ratio: {{preset: http}}}}]}}
"""
RIGHTS = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: people, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: ada}}
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}}
"""


def annotate(cluster: Kubectl, user: str, text: str, *groups: str) -> str:
    """What the API server says to this person's request; empty when it takes it."""
    who = ("--as", user, *(word for group in groups for word in ("--as-group", group)))
    note = f"{REQUEST}={text}"
    done = cluster(*who, "annotate", "-n", NAMESPACE, "cnr", "asked", "--overwrite", note)
    return done.stderr if done.returncode else ""


def request(verb: str, by: str, number: str) -> str:
    """As `canary` writes it."""
    return json.dumps({"verb": verb, "id": number, "by": by})


@pytest.fixture
def guarded(cluster: Kubectl) -> Iterator[Kubectl]:
    """A release that ada and bob may change, and the policy in force."""
    for text in (RELEASE, RIGHTS):
        done = cluster("apply", "-f", "-", stdin=text)
        assert done.returncode == 0, done.stderr
    applied = cluster("apply", "-k", POLICY)
    assert applied.returncode == 0, applied.stderr
    numbers = count()

    def in_force() -> bool:
        return "must be given" in annotate(cluster, "ada", f"{{}} {next(numbers)}")

    wait_for("the policy", in_force, 30)
    yield cluster
    cluster("delete", "-k", POLICY)


def test_a_request_carries_the_name_of_whoever_makes_it(guarded: Kubectl) -> None:
    """Another name, two names and none are refused."""
    assert "must be given" in annotate(guarded, "bob", request("abort", "ada", "1"))
    twice = '{"verb": "abort", "id": "2", "by": "bob", "by": "ada"}'
    assert "must be given" in annotate(guarded, "bob", twice)
    assert "must be given" in annotate(guarded, "bob", '{"verb": "abort", "id": "3"}')
    assert annotate(guarded, "bob", request("abort", "bob", "4")) == ""


def test_only_the_group_may_promote(guarded: Kubectl) -> None:
    """Everybody with the right to change a release may abort it."""
    assert "may not promote" in annotate(guarded, "bob", request("promote", "bob", "5"))
    group = ("release-managers", "system:authenticated")
    assert annotate(guarded, "ada", request("promote", "ada", "6"), *group) == ""
    twice = '{"verb": "promote", "id": "7", "verb": "abort", "by": "bob"}'
    assert "may not promote" in annotate(guarded, "bob", twice)
