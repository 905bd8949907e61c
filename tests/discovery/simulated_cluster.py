"""A small cluster as manifests: Deployment, Service, route, release; and an API server for it."""

from functools import cache
from pathlib import Path

import yaml

from canary.discovery.selector_conflicts import SELECTING_KINDS
from canary.discovery.topology import INGRESS_ROUTES
from canary.doctor.routers import GATEWAY_CLASSES
from canary.kube.objects import (
    LEASES,
    Kind,
    Object,
)
from canary.manifests import build_crd
from tests.kube.api_server import KINDS
from tests.kube.fake_cluster import FakeCluster

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
