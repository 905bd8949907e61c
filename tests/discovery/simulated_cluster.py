"""A small cluster as manifests: Deployment, Service, route, release; and an API server for it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from canary.discovery.selector_conflicts import SELECTING_KINDS
from canary.discovery.topology import DIALECTS, INGRESS_ROUTES, INGRESSES
from canary.discovery.workload_risks import CLAIMS, CONTROLLERS
from canary.doctor.definition import DEFINITIONS
from canary.doctor.pause_mode import NAMESPACES
from canary.doctor.rights import SELF_REVIEWS, SUBJECT_REVIEWS
from canary.doctor.routers import GATEWAY_CLASSES
from canary.kube.objects import (
    AUTOSCALERS,
    CRON_JOBS,
    DEPLOYMENTS,
    LEASES,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from canary.manifests import build_crd
from tests.kube.fake_cluster import FakeCluster

KINDS = (
    *(CLAIMS, *CONTROLLERS),
    *(AUTOSCALERS, BINDINGS, GATEWAY_CLASSES, CRON_JOBS, DEFINITIONS, DEPLOYMENTS, INGRESSES),
    *(
        INGRESS_ROUTES,
        LEASES,
        NAMESPACES,
        SUBJECT_REVIEWS,
        SELF_REVIEWS,
        PODS,
        POLICIES,
        RELEASES,
        REPLICA_SETS,
    ),
    *(SECRETS, SERVICES, *SELECTING_KINDS, *(dialect.kind for dialect in DIALECTS)),
)
MANIFESTS = Path(__file__).parents[2] / "manifests"
OPERATOR = "system:serviceaccount:canary-system:canary"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: auth, namespace: prod}
spec:
  replicas: 4
  selector: {matchLabels: {app: auth}}
  template:
    metadata: {labels: {app: auth, tier: api}}
    spec: {containers: [{name: auth, image: 'auth:1'}]}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: auth, namespace: prod}
spec: {selector: {app: auth}, ports: [{port: 80}]}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: auth, namespace: prod, generation: 1}
spec:
  parentRefs: [{name: front}]
  rules: [{name: login, backendRefs: [{name: auth, port: 80}]}]
status:
  parents:
  - parentRef: {name: front}
    controllerName: traefik.io/gateway-controller
    conditions:
    - {type: Accepted, status: 'True', observedGeneration: 1}
    - {type: ResolvedRefs, status: 'True', observedGeneration: 1}
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: auth-7d9c5b6f4-aaaaa
  namespace: prod
  labels: {app: auth, tier: api}
  annotations: {prometheus.io/port: '8080'}
spec: {containers: [{name: auth}]}
status: {phase: Running, podIP: 10.0.0.1}
"""
RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  traffic: {gatewayAPI: {name: auth}}
  steps: [{weight: 5, duration: 2m}, {weight: 50, duration: 5m}]
  bake: 30m
  analysis:
    interval: 15s
    metrics:
    - {name: errors, ratio: {preset: traefik}}
    - {name: refused, clientErrors: {preset: traefik}}
"""
BASE = (DEPLOYMENT, SERVICE, ROUTE, POD)


def parse_manifest(text: str) -> Object:
    """An object written as YAML."""
    found: Object = yaml.safe_load(text)
    return found


def change_manifest(text: str, path: str, value: object) -> str:
    """The manifest with another value at a path such as `spec.strategy`."""
    made = parse_manifest(text)
    at, (*parts, last) = made, path.split(".")
    for part in parts:
        at = at.setdefault(part, {})
    at[last] = value
    return yaml.safe_dump(made)


def kind_of(one: Object) -> Kind:
    """Of an object as written."""
    return next(kind for kind in KINDS if kind.kind == one["kind"])


def build_cluster(*texts: str) -> FakeCluster:
    """A cluster with these objects."""
    cluster = FakeCluster()
    cluster.unserved = {INGRESS_ROUTES, *SELECTING_KINDS[1:]}
    for text in texts:
        one = parse_manifest(text)
        cluster.put(kind_of(one), one)
    return cluster


def build_cluster_with_operator(*texts: str) -> FakeCluster:
    """The same with everything that an operator needs, and an operator that leads."""
    cluster = build_cluster(*texts)
    for one in _furniture():
        cluster.put(kind_of(one), one)
    return cluster


@cache
def _furniture() -> tuple[Object, ...]:
    operator = (MANIFESTS / "operator/operator.yaml").read_text("utf-8")
    # An address that refuses at once, instead of a name that is looked up.
    operator = operator.replace("prometheus.monitoring:9090", "127.0.0.1:9")
    deployment = next(one for one in yaml.safe_load_all(operator) if one["kind"] == "Deployment")
    hold = yaml.safe_load_all((MANIFESTS / "hold/policy.yaml").read_text("utf-8"))
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    gateways = {
        "kind": GATEWAY_CLASSES.kind,
        "metadata": {"name": "front"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
        "status": accepted,
    }
    running = deployment | {"status": {"readyReplicas": 2}}
    return (build_crd(), running, *hold, gateways, build_lease(0) | {"kind": LEASES.kind})


def build_lease(renewed: int) -> Object:
    """Renewed that many seconds after 2030 began, and good for 12."""
    return {
        "metadata": {"name": "canary-controller", "namespace": "canary-system"},
        "spec": {
            "holderIdentity": "canary-1",
            "leaseDurationSeconds": 12,
            "renewTime": f"2030-01-01T00:00:{renewed:02d}.000000Z",
        },
    }


NOW = 1893456000.0
"""When 2030 began."""


class ApiServer(ThreadingHTTPServer):
    """Serves a fake cluster; `refused` are (verb, resource) that nobody may do."""

    daemon_threads = True

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cluster = cluster
        self.refused: set[tuple[str, str]] = set()
        self.pages: dict[str, str] = {}
        self.failing: int = 0
        """HTTP status of everything."""

    def kubeconfig(self, directory: Path) -> str:
        """A file that points here."""
        host, port = self.server_address[:2]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://{host!s}:{port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path = directory / "kubeconfig"
        path.write_text(json.dumps(config))
        return str(path)


@contextmanager
def serve_cluster(cluster: FakeCluster) -> Iterator[ApiServer]:
    """An API server while the block runs."""
    server = ApiServer(cluster)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet: headers and body apart wait 40 ms for each other
    server: ApiServer

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (wanted["resource"], wanted["subresource"])))
        allowed = (wanted["verb"], resource) not in self.server.refused
        if "user" in body["spec"] and ("create", SUBJECT_REVIEWS.plural) in self.server.refused:
            self._status(403, "you may not create subjectaccessreviews")
        else:
            self._json(201, body | {"status": {"allowed": allowed}})

    def do_GET(self) -> None:
        words = [unquote(word) for word in urlsplit(self.path).path.strip("/").split("/")]
        if self.server.failing:
            self._status(self.server.failing, "no")
        elif words == ["version"]:
            self._json(200, {"major": "1", "minor": "37"})
        elif words[-2:-1] == ["proxy"]:
            self._page(words[-3].split(":")[1])
        else:
            depth = 2 if words[0] == "api" else 3
            self._objects("/".join(words[1:depth]), words[depth:])

    def _page(self, pod: str) -> None:
        text = self.server.pages.get(pod)
        if text is None:
            self._status(403, f"you may not get pods/proxy {pod}")
        else:
            self._send(200, text.encode(), "text/plain")

    def _objects(self, version: str, words: list[str]) -> None:
        unserved = self.server.cluster.unserved
        served = [kind for kind in KINDS if kind.api_version == version and kind not in unserved]
        if not words:
            known = [{"name": kind.plural} for kind in served]
            self._json(200 if known else 404, {"resources": known})
            return
        namespaced = words[0] == "namespaces" and len(words) > 2
        namespace = words[1] if namespaced else ""
        plural, *names = words[2:] if namespaced else words
        kind = next((one for one in served if one.plural == plural), None)
        if kind is None:
            self._status(404, "the server could not find the requested resource")
        elif ("get" if names else "list", plural) in self.server.refused:
            self._status(403, f'cannot {"get" if names else "list"} resource "{plural}"')
        elif names:
            found = self.server.cluster.get(kind, namespace, names[0])
            missing = {"kind": "Status", "message": "not found", "details": {"name": names[0]}}
            self._json(200 if found else 404, found or missing)
        else:
            self._json(200, {"metadata": {}, "items": self._listed(kind, namespace)})

    def _listed(self, kind: Kind, namespace: str) -> list[Object]:
        labels = urlsplit(self.path).query.partition("labelSelector=")[2].partition("&")[0]
        pairs = unquote(labels).split(",") if labels else []
        return self.server.cluster.list(kind, namespace, dict(one.split("=") for one in pairs))

    def _status(self, code: int, words: str) -> None:
        self._json(code, {"kind": "Status", "code": code, "message": words})

    def _json(self, code: int, body: Any) -> None:
        self._send(code, json.dumps(body).encode(), "application/json")

    def _send(self, code: int, body: bytes, content_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
