"""`canary gate` against a real API server: its hashes, its watches, its rights.

No operator is needed: the tests write statuses as it would, through the status subresource.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.api import HistoryEntry, Intent, Reason, Release, Result, Status
from canary.errors import ConflictError
from canary.interfaces import Key
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, RELEASES
from canary.kube.releases import KubeReleases
from canary.kube.transport import load_transport
from canary.kube.workloads.target import TargetState
from e2e.fixtures_manifests import ROOT, Kubectl, cluster

__all__ = ["cluster"]

WITHIN = 2.0
"""Seconds in which an operator that is there has adopted a target."""
OBJECTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: auth}
spec:
  replicas: 0
  selector: {matchLabels: {app: auth}}
  template:
    metadata: {labels: {app: auth}}
    spec: {containers: [{name: auth, image: 'example.invalid/auth:1'}]}
---
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  steps: [{weight: 5}, {weight: 50}]
  analysis: {metrics: [{name: errors, ratio: {total: 't{}', bad: 'b{}'}}]}
"""


@dataclass(frozen=True)
class Pipeline:
    """A namespace with a Deployment and its release."""

    kubectl: Kubectl
    client: Client
    namespace: str

    def template(self) -> str:
        """Our hash of what the Deployment wants, as the API server has it."""
        found = self.client.get(DEPLOYMENTS, self.namespace, "auth")
        assert found is not None
        return TargetState(found, ()).wanted

    def apply(self, image: str) -> str:
        """The user deploys; returns the template's hash."""
        text = OBJECTS.replace("auth:1", image)
        done = self.kubectl("-n", self.namespace, "apply", "-f", "-", stdin=text)
        assert done.returncode == 0, done.stderr
        return self.template()

    def write(self, **changes: Any) -> None:
        """The operator writes its status."""
        releases = KubeReleases(self.client, lambda *_: None)
        for _ in range(5):
            resource = releases.read(Key(self.namespace, "auth"))
            try:
                releases.write_status(
                    resource, Status(observed_generation=1).model_copy(update=changes)
                )
            except ConflictError:
                continue
            return
        pytest.fail("somebody else keeps writing this status")

    def start(self, *more: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The gate, running."""
        words = ["gate", "auth", "-n", self.namespace, "--timeout", "60s", *more]
        return subprocess.Popen(
            [sys.executable, "-m", "canary", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | dict(env or {}),
        )

    def gate(self, *more: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        running = self.start(*more, env=env)
        out, err = running.communicate(timeout=90)
        return running.returncode, out, err


def flight(template: str, stable: str) -> dict[str, Any]:
    """The status of a release on its way."""
    release = Release(template=template, started_at=60.0, replicas=1)
    return {
        "stable_hash": stable,
        "intent": Intent.ADVANCE,
        "release": release,
        "reason": Reason.HOLDING,
        "weight": 5,
    }


def end(template: str, result: Result, reason: Reason) -> HistoryEntry:
    """One ended release."""
    return HistoryEntry(
        template=template, result=result, reason=reason, started_at=60.0, ended_at=90.0
    )


def looked_after(made: Pipeline) -> bool:
    """Whether an operator writes to this namespace's release within a few seconds."""
    listing = made.client.listing(RELEASES, made.namespace, {})
    if any(item.get("status") for item in listing.items):
        return True
    watch = made.client.watch(RELEASES, made.namespace, {}, listing.version, WITHIN)
    return any(event.object.get("status") for event in watch)


@pytest.fixture
def pipeline(cluster: Kubectl) -> Iterator[Pipeline]:
    """A namespace of its own, in which nobody else looks after releases."""
    namespace = f"gate-{uuid.uuid4().hex[:6]}"
    cluster("create", "namespace", namespace)
    client = Client(load_transport(None, None))
    made = Pipeline(cluster, client, namespace)
    try:
        made.apply("auth:1")
        if looked_after(made):
            pytest.skip("an operator looks after all namespaces: these tests write as it would")
        made.write(stable_hash=made.template(), reason=Reason.AT_REST)
        yield made
    finally:
        client.close()
        cluster("delete", "namespace", namespace, "--wait=false")


def test_applying_what_runs_already_is_no_wait(pipeline: Pipeline) -> None:
    """The hash is that of the template with the server's defaults: applying it again is the same."""
    pipeline.apply("auth:1")
    code, out, err = pipeline.gate()
    assert code == 0, err
    assert "nothing to release" in out


def test_a_new_version_is_followed_from_apply_to_promotion(pipeline: Pipeline) -> None:
    """The gate is there before the operator has seen anything."""
    stable = pipeline.template()
    new = pipeline.apply("auth:2")
    running = pipeline.start()
    assert running.stderr is not None
    first = running.stderr.readline()
    assert "the operator has not started this release yet" in first
    pipeline.write(**flight(new, stable))
    assert "at 5 %, step 1 of 2: Holding" in running.stderr.readline()
    promoted = end(new, Result.PROMOTED, Reason.PROMOTED)
    pipeline.write(stable_hash=new, reason=Reason.PROMOTED, history=(promoted,))
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert f"{pipeline.namespace}/auth: promoted" in out


def test_a_rollback_is_told(pipeline: Pipeline, tmp_path: Path) -> None:
    """With its reason, and a red case for the test viewer."""
    stable = pipeline.template()
    new = pipeline.apply("auth:2")
    failed = end(new, Result.ROLLED_BACK, Reason.CONNECTION_LEAK)
    pipeline.write(
        stable_hash=stable, rejected_hash=new, reason=Reason.CONNECTION_LEAK, history=(failed,)
    )
    code, out, err = pipeline.gate("-o", "json", "--junit", str(tmp_path / "canary.xml"))
    assert code == 3, err
    assert json.loads(out)["facts"]["reason"] == "ConnectionLeak"
    assert "<failure" in (tmp_path / "canary.xml").read_text()


def test_a_release_that_goes_ends_the_wait(pipeline: Pipeline) -> None:
    """Deleted under the gate's eyes."""
    stable = pipeline.template()
    pipeline.write(**flight(pipeline.apply("auth:2"), stable))
    running = pipeline.start()
    assert running.stderr is not None
    running.stderr.readline()
    pipeline.kubectl("-n", pipeline.namespace, "delete", "canaryrelease", "auth", "--wait=false")
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 7
    assert "delete" in out


def kubeconfig(pipeline: Pipeline, directory: Path) -> dict[str, str]:
    """Of a service account that may do nothing yet."""
    pipeline.kubectl("-n", pipeline.namespace, "create", "serviceaccount", "pipeline")
    token = pipeline.kubectl("-n", pipeline.namespace, "create", "token", "pipeline").stdout.strip()
    text = pipeline.kubectl("config", "view", "--raw", "--minify", "--flatten").stdout
    config = yaml.safe_load(text)
    config["users"][0]["user"] = {"token": token}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return {"KUBECONFIG": str(path)}


def test_the_documented_role_is_enough(pipeline: Pipeline, tmp_path: Path) -> None:
    """Without it the gate says what to grant; with it, it works; it needs no more."""
    env = kubeconfig(pipeline, tmp_path)
    code, out, err = pipeline.gate(env=env)
    assert (code, out) == (7, "")
    assert 'resources ["canaryreleases"]' in err
    page = (ROOT / "docs/gate.md").read_text()
    role = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert role is not None
    where = ("-n", pipeline.namespace)
    pipeline.kubectl(*where, "apply", "-f", "-", stdin=role[1])
    account = f"--serviceaccount={pipeline.namespace}:pipeline"
    pipeline.kubectl(*where, "create", "rolebinding", "p", "--role=canary-gate", account)
    stable = pipeline.template()
    new = pipeline.apply("auth:2")
    running = pipeline.start(env=env)
    assert running.stderr is not None
    assert "has not started this release" in running.stderr.readline()
    pipeline.write(**flight(new, stable))
    assert "Holding" in running.stderr.readline()
    promoted = end(new, Result.PROMOTED, Reason.PROMOTED)
    pipeline.write(stable_hash=new, reason=Reason.PROMOTED, history=(promoted,))
    running.communicate(timeout=30)
    assert running.returncode == 0
