"""`canary init`, `lint --cluster --prometheus` and `doctor` on a real cluster, as people use them.

The service is a few lines of Python that count their requests: no database, and no operator needed.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from canary.kube.objects import Object
from e2e.harness.auth import IMAGE, LOCKED, RESTRICTED, host, namespace, route, service
from e2e.harness.clusters import ROOT
from e2e.harness.kubectl import KubectlError, apply, get, kubectl, wait_for
from e2e.harness.load import run_load

RATE = 40.0
"""Requests/s."""
SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
requests = count()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = "ok"
        if self.path == "/metrics":
            text = (f'http_requests_total{{code="200"}} {next(requests)}\\n'
                    'hikaricp_connections_active{pool="main"} 2\\n'
                    'hikaricp_connections_max{pool="main"} 10\\n')
        else:
            next(requests)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    do_POST = do_GET
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def deployment(place: str) -> Object:
    """Two pods of the service, scraped by Prometheus."""
    labels = {"app": "auth"}
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    container = {
        "name": "auth",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/auth/bin/python", "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "securityContext": dict(LOCKED),
    }
    spec = {"securityContext": dict(RESTRICTED), "containers": [container]}
    template = {"metadata": {"labels": labels, "annotations": notes}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "auth", "namespace": place},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """A namespace with the service under load, for long enough to be seen by Prometheus."""
    missing = {"KUBECONFIG", "GATEWAY_URL", "PROMETHEUS_URL"} - os.environ.keys()
    if missing:
        pytest.skip(f"needs a cluster ({', '.join(sorted(missing))} not set): see `make e2e`")
    name = f"setup-{secrets.token_hex(3)}"
    try:
        apply(namespace(name))
        kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "manifests/crd.yaml")
        )
    except KubectlError as error:
        pytest.skip(f"the cluster does not answer: {error}")
    try:
        apply(deployment(name), service(name), route(name))
        kubectl("-n", name, "rollout", "status", "deployment/auth", "--timeout=120s")
        wait_for("the route", lambda: answers(name), 30)
        with run_load(host(name), RATE):
            wait_for("scraped requests", lambda: "no-data" not in lint_of(name), 90, every=2.0)
            wait_for("a rate", lambda: "requests/s now" in drafted(name, *asking()), 60, every=2.0)
            yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def answers(name: str) -> bool:
    """Whether the gateway has learnt of the route."""
    url, headers = os.environ["GATEWAY_URL"], {"Host": host(name)}
    try:
        return requests.get(url, headers=headers, timeout=3).ok
    except requests.RequestException:
        return False


def canary(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The program, as a person types it."""
    command = [sys.executable, "-m", "canary", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def drafted(name: str, *more: str) -> str:
    """What init prints for the service."""
    done = canary("init", "auth", "-n", name, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asking() -> tuple[str, str]:
    """The lab's Prometheus."""
    return "--prometheus", os.environ["PROMETHEUS_URL"]


def lint_of(name: str) -> str:
    """What lint says of a release by the gateway's and the application's metrics."""
    text = drafted(name, "--metric", "traefik", "--metric", "hikaricp")
    return canary("lint", "--cluster", *asking(), "-", stdin=text).stdout


def presets(spec: dict[str, Any]) -> dict[str, str]:
    """Which preset each kind of metric has."""
    kinds = ("ratio", "clientErrors", "latency", "pool")
    metrics = spec["analysis"]["metrics"]
    return {kind: one[kind]["preset"] for one in metrics for kind in kinds if kind in one}


def test_a_draft_names_what_there_is_and_the_api_server_takes_it(place: str):
    """Service, route, the router's requests, the application's pool, and the traffic."""
    text = drafted(place, *asking())
    spec = yaml.safe_load(text)["spec"]
    assert spec["service"] == {"name": "auth"}
    assert spec["traffic"]["gatewayAPI"] == {"kind": "HTTPRoute", "name": "auth"}
    wanted = {"ratio": "traefik", "clientErrors": "traefik", "pool": "hikaricp"}
    assert presets(spec).items() >= wanted.items()
    assert "requests/s now" in text
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=text).endswith(
        "(server dry run)\n"
    )


def test_a_draft_needs_no_prometheus(place: str):
    """The pods' own pages come through the API server."""
    spec = yaml.safe_load(drafted(place))["spec"]
    assert spec["analysis"]["source"] == "scrape"
    assert presets(spec).items() >= {"ratio": "http", "pool": "hikaricp"}.items()


def test_lint_asks_the_cluster_and_prometheus(place: str, tmp_path: Path):
    """A draft is fine; a wrong name, a wrong label and too small a regression are found."""
    text = drafted(place, *asking())
    file = tmp_path / "release.yaml"
    file.write_text(text)
    asked = ("lint", "--cluster", *asking(), str(file))
    done = canary(*asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " error: " not in done.stdout
    file.write_text(
        text.replace("kind: HTTPRoute, name: auth", "kind: HTTPRoute, name: login")
        .replace("ratio: {preset: traefik}", "ratio: {preset: http-status}")
        .replace("smallestRegression: 0.005", "smallestRegression: 0.00001")
    )
    done = canary(*asked, "-o", "json")
    assert done.returncode == 2
    risks = json.loads(done.stdout)["files"][0]["risks"]
    assert {risk["rule"] for risk in risks} >= {
        "route-missing",
        "status-label",
        "too-little-traffic",
    }


def test_doctor_finds_out_about_this_cluster(place: str):
    """It has the routers, a Prometheus that is fresh, and clocks that agree."""
    before = operator()
    done = canary("doctor", "-n", place, *asking(), "-o", "json")
    found: list[Any] = json.loads(done.stdout)["findings"]
    states = {one["check"]: one["state"] for one in found}
    well = ("cluster", "your rights", "routers", "gateways", "prometheus", "clocks", "releases")
    if before is not None and before == operator():
        well += ("operator", "leader", "operator's rights")
    assert [check for check in well if states.get(check) != "ok"] == [], done.stdout
    assert done.returncode == (3 if "error" in states.values() else 0)


def operator() -> str | None:
    """Which operator runs, whole and for good; None while one comes or goes."""
    found = get("canary-system", "deployment", "canary")
    if found is None or found.get("status", {}).get("readyReplicas") != found["spec"]["replicas"]:
        return None
    return None if "deletionTimestamp" in found["metadata"] else found["metadata"]["uid"]
