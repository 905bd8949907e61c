"""A guarded Deployment on a real cluster, and `canary operator` as a process beside it.

Needs KUBECONFIG of an administrator and the CRD; pods run OPERATOR_POD_IMAGE, any image that runs
without arguments and ends on SIGTERM.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

NAMESPACE = f"oper-{os.getpid()}"
IMAGE = os.environ.get("OPERATOR_POD_IMAGE", "localhost/pause:lab")
MANIFESTS = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: auth, namespace: {NAMESPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: auth}}}}
  template:
    metadata: {{labels: {{app: auth}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: app, image: "{IMAGE}", imagePullPolicy: IfNotPresent}}]
---
apiVersion: v1
kind: Service
metadata: {{name: auth, namespace: {NAMESPACE}}}
spec: {{selector: {{app: auth}}, ports: [{{port: 8080}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: auth, namespace: {NAMESPACE}}}
spec:
  parentRefs: [{{name: lab, namespace: lab}}]
  hostnames: [{NAMESPACE}.example]
  rules: [{{backendRefs: [{{name: auth, port: 8080}}]}}]
---
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {{name: auth, namespace: {NAMESPACE}}}
spec:
  target: {{name: auth}}
  traffic: {{gatewayAPI: {{name: auth}}, propagationDelay: 1s}}
  steps: [{{weight: 20, duration: 5s}}]
  analysis: {{interval: 5s, metrics: [{{name: errors, ratio: {{preset: traefik}}}}]}}
"""


def kubectl(*arguments: str, stdin: str = "") -> str:
    """What kubectl says; the test ends where it fails."""
    done = subprocess.run(
        ["kubectl", *arguments],  # noqa: S607 - whichever kubectl the person uses
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def get(kind: str, name: str = "", *flags: str) -> Any:
    """An object of the namespace, or a list of them."""
    named = [name] if name else []
    return json.loads(kubectl("get", kind, *named, "-n", NAMESPACE, "-o", "json", *flags))


def until(what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until it is so."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        pause.wait(0.2)


@dataclass
class Process:
    """One `canary operator`."""

    child: subprocess.Popen[str]
    log: Path
    port: int

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.child.send_signal(number)
        return self.child.wait(30)

    def metric(self, name: str) -> float:
        """Sum over all samples of that name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for value in found)


def command(*flags: str) -> list[str]:
    """The operator for this namespace only, with a lease of its own."""
    own = ("-n", NAMESPACE, "--lease-namespace", NAMESPACE, "--metrics-address", "127.0.0.1:0")
    own += ("--allow-network", "127.0.0.0/8")  # receivers that the tests start
    prometheus = os.environ.get("PROMETHEUS_URL", "http://127.0.0.1:9090")
    return [
        *(sys.executable, "-m", "canary", "operator", *own),
        *("--prometheus-url", prometheus, "--hold-mode", "at-rest", *flags),
    ]


@contextmanager
def operating(log: Path, *flags: str) -> Iterator[Process]:
    """The operator at work."""
    with log.open("a") as lines:
        child = subprocess.Popen(command(*flags), stderr=lines, text=True)
    port = re.compile(r"metrics on port (\d+)")
    try:
        until("the operator's port", lambda: bool(port.search(log.read_text())), 20)
        found = port.findall(log.read_text())[-1]
        yield Process(child, log, int(found))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)


@pytest.fixture
def namespace() -> Iterator[str]:
    """The namespace with the service in it, running."""
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        pytest.skip("a cluster is needed: set KUBECONFIG, and have kubectl on PATH")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
    kubectl("apply", "-f", "-", stdin=MANIFESTS)
    kubectl("rollout", "status", "deploy/auth", "-n", NAMESPACE, "--timeout=60s")
    yield NAMESPACE
    release = get("canaryreleases", "auth", "--ignore-not-found") if _there() else {}
    if release.get("metadata", {}).get("finalizers"):
        kubectl(
            *("patch", "canaryrelease", "auth", "-n", NAMESPACE, "--type=merge"),
            *("-p", '{"metadata": {"finalizers": null}}'),
        )
    kubectl("delete", "namespace", NAMESPACE, "--timeout=90s")


def _there() -> bool:
    found = kubectl("get", "canaryreleases", "-n", NAMESPACE, "-o", "name")
    return "auth" in found


def restricted_kubeconfig(file: Path) -> Path:
    """A kubeconfig of an account that may do nothing."""
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    kubectl("create", "serviceaccount", "nobody", "-n", NAMESPACE)
    token = kubectl("create", "token", "nobody", "-n", NAMESPACE).strip()
    config["users"][0]["user"] = {"token": token}
    file.write_text(yaml.safe_dump(config))
    return file
