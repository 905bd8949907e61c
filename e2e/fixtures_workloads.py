"""A namespace of its own on a real cluster, with a user (kubectl) and an operator beside him.

Needs KUBECONFIG of an administrator and the CRD. Pods run WORKLOADS_IMAGE, any image that runs
without arguments and ends on SIGTERM.
"""

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from canary.core.plan import PauseTarget, WorkloadAction
from canary.core.snapshot import Canary, ReleaseResource, TargetDeployment
from canary.errors import TransientError
from canary.http.addresses import AddressRules
from canary.interfaces import Key
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, Object
from canary.kube.releases import KubeReleases
from canary.kube.transport import load_transport
from canary.kube.workloads import KubeWorkloads, PauseMode, Webhooks
from canary.kube.workloads.webhooks import build_poster

IMAGE = os.environ.get("WORKLOADS_IMAGE", "localhost/pause:lab")
POLICY = Path(__file__).parent.parent / "manifests" / "hold" / "policy.yaml"
SPEC: dict[str, Any] = {
    "traffic": {"traefik": {"traefikService": "auth"}},
    "steps": [{"weight": 5, "duration": "1s"}],
    "analysis": {
        "metrics": [{"name": "errors", "ratio": {"total": "t_total{}", "bad": "b_total{}"}}]
    },
}


T = TypeVar("T")


def until(ask: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Its first truthy answer."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        pause.wait(0.1)
    return answer


@dataclass(frozen=True)
class WorkloadFixture:
    """The namespace, seen by both."""

    namespace: str
    operator: Client
    webhooks: Webhooks

    def kubectl(self, *arguments: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        """What the user types; JSON goes in at `stdin`."""
        return subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],  # noqa: S607
            input=json.dumps(stdin) if stdin is not None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def must(self, *arguments: str, stdin: object = None) -> str:
        """What the user types, and it works."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def read(self, kind: str, name: str) -> Object:
        """The object, as the user sees it."""
        found: Object = json.loads(self.must("get", kind, name, "-o", "json"))
        return found

    def items(self, kind: str, selector: str = "") -> list[Object]:
        """All objects of a kind."""
        found: list[Object] = json.loads(
            self.must("get", kind, "--selector", selector, "-o", "json")
        )["items"]
        return found

    def deploy(self, name: str, replicas: int = 2, **spec: object) -> None:
        """The user's Deployment and Service, and a CanaryRelease for them."""
        self.must("apply", "-f", "-", stdin=deployment(name, replicas=replicas))
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        self.must("apply", "-f", "-", stdin=service)
        self.release(name, name, **spec)
        self.must("rollout", "status", f"deployment/{name}", "--timeout=60s")

    def release(self, name: str, target: str, **spec: object) -> None:
        """The user's CanaryRelease."""
        body = {
            "apiVersion": "canary-controller.dev/v1alpha1",
            "kind": "CanaryRelease",
            "metadata": {"name": name},
            "spec": {"target": {"name": target}, **SPEC, **spec},
        }
        self.must("apply", "-f", "-", stdin=body)

    def store(self) -> KubeReleases:
        """The operator's store."""
        return KubeReleases(self.operator, lambda *_: None)

    def resource(self, name: str) -> ReleaseResource:
        """The release, as the operator reads it."""
        return self.store().read(Key(self.namespace, name))

    def pods(self, name: str) -> dict[str, int]:
        """Names of the target's pods with their restarts, whatever template they have."""
        found = self.items("pods", f"app={name}")
        lasting = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
        return {
            pod["metadata"]["name"]: sum(
                one["restartCount"] for one in pod["status"].get("containerStatuses", [])
            )
            for pod in lasting
        }


@dataclass(frozen=True)
class Operator:
    """What the operator sees and does about one release, held in one mode."""

    stage: WorkloadFixture
    name: str
    mode: PauseMode

    @property
    def workloads(self) -> KubeWorkloads:
        """Ours."""
        return KubeWorkloads(self.stage.operator, lambda: self.mode, self.stage.webhooks)

    def target(self) -> TargetDeployment:
        """The user's Deployment."""
        target = self.workloads.read(self.stage.resource(self.name)).target
        assert target is not None
        return target

    def canary(self) -> Canary | None:
        """Ours beside it."""
        return self.workloads.read(self.stage.resource(self.name)).canary

    def do(self, action: WorkloadAction, seconds: float = 30.0) -> None:
        """Until it is not refused any more."""

        def tried() -> bool:
            try:
                self.workloads.apply(self.stage.resource(self.name), action)
            except TransientError:
                return False
            return True

        until(tried, str(action), seconds)

    def adopt(self) -> str:
        """Adopts the target: the hash of what runs."""
        running = until(lambda: self.target().running, "the target is stable")
        self.do(PauseTarget(running))
        return running

    def deployment_sets(self) -> list[Object]:
        """Its ReplicaSets that have pods."""
        found = self.stage.items("replicasets", f"app={self.name}")
        return [one for one in found if one["status"].get("replicas")]

    def deployment(self) -> Object:
        """The Deployment, raw."""
        found = self.stage.operator.get(DEPLOYMENTS, self.stage.namespace, self.name)
        assert found is not None
        return found


def deployment(name: str, version: str = "1", replicas: int = 2, **pod: object) -> Object:
    """The user's manifest."""
    container = {
        "name": "app",
        "image": IMAGE,
        "env": [{"name": "VERSION", "value": version}],
        **pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"held": name.rpartition("-")[2]}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


def _as_operator(stage: WorkloadFixture, directory: Path) -> str:
    """A kubeconfig with the token of the operator's account."""
    stage.must("create", "serviceaccount", "controller")
    account = f"{stage.namespace}:controller"
    stage.must("create", "rolebinding", "c", "--clusterrole=admin", f"--serviceaccount={account}")
    rules = "canaryreleases.canary-controller.dev,canaryreleases.canary-controller.dev/status"
    finalizers = "canaryreleases.canary-controller.dev/finalizers"
    stage.must("create", "role", "r", "--verb=*", f"--resource={rules},{finalizers}")
    stage.must("create", "rolebinding", "r", "--role=r", f"--serviceaccount={account}")
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    token = stage.must("create", "token", "controller").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = directory / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def _policy(namespace: str) -> Iterator[Object]:
    """Our policy under another name, for this operator and what it holds on change only."""
    text = POLICY.read_text().replace("canary-hold", f"{namespace}-hold")
    text = text.replace("canary-system:canary", f"{namespace}:controller")
    for one in yaml.safe_load_all(text):
        if one["kind"] == "MutatingAdmissionPolicy":
            constraints = one["spec"]["matchConstraints"]
            constraints["namespaceSelector"] = {
                "matchLabels": {"kubernetes.io/metadata.name": namespace}
            }
            constraints["objectSelector"] = {"matchLabels": {"held": "onchange"}}
        yield one


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkloadFixture]:
    """A namespace that is gone afterwards."""
    if "KUBECONFIG" not in os.environ:
        pytest.skip("needs a cluster: KUBECONFIG is not set")
    namespace = f"work-{os.getpid()}"
    user = WorkloadFixture(
        namespace, Client(load_transport()), Webhooks(build_poster(AddressRules()))
    )
    user.must("create", "namespace", namespace)
    operator = Client(load_transport(_as_operator(user, tmp_path_factory.mktemp("operator"))))
    yield WorkloadFixture(namespace, operator, user.webhooks)
    user.kubectl("delete", "canaryreleases", "--all", "--wait=false")
    for release in user.items("canaryreleases"):
        patch = '{"metadata":{"finalizers":null}}'
        user.kubectl("patch", "cnr", release["metadata"]["name"], "--type=merge", "-p", patch)
    user.must("delete", "namespace", namespace, "--wait=false")
    operator.close()
    user.operator.close()
    user.webhooks.close()


@pytest.fixture(scope="module")
def policy(stage: WorkloadFixture) -> Iterator[str]:
    """The name of our admission policy, in force in the namespace."""
    bodies = list(_policy(stage.namespace))
    probe = deployment("probe-onchange", replicas=0)
    probe["metadata"]["annotations"] = {"canary-controller.dev/hold": "probe"}
    turns = itertools.count()

    def in_force() -> bool:
        stage.must("set", "env", "deployment/probe-onchange", f"TURN={next(turns)}")
        return bool(stage.read("deployment", "probe-onchange")["spec"].get("paused"))

    try:
        stage.must("apply", "-f", "-", stdin=probe)
        stage.release("probe", "probe-onchange")
        for body in bodies:
            stage.must("apply", "-f", "-", stdin=body)
        until(in_force, "the policy pauses on change")
        yield f"{stage.namespace}-hold"
    finally:
        for body in bodies:
            stage.kubectl("delete", body["kind"], body["metadata"]["name"])
