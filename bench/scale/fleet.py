"""Services with a CanaryRelease each, whose pods run on nodes that KWOK simulates."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bench.scale.waiting import wait_for_progress
from canary.errors import ConflictError, TransientError
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES, Kind, Object
from canary.kube.retrying import RetryPolicy
from canary.kube.transport import RequestTimeouts, load_transport

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
NODES = Kind("", "v1", "nodes", "Node")
SIMULATED = {"type": "kwok"}
"""Label of the simulated nodes."""
_THREADS, _ATTEMPTS = 12, 10


@dataclass(frozen=True, slots=True)
class Fleet:
    """Describes `size` services; `each` of them share a namespace, named `prefix` and a number."""

    size: int
    each: int = 50
    prefix: str = "scale"
    interval: str = "10s"
    window: str = "10m"
    """For which a leak of connections must be ruled out."""
    steps: tuple[tuple[int, str], ...] = ((20, "10h"), (50, "10h"))
    """Weight and duration."""
    analysis: tuple[tuple[str, Any], ...] = ()
    """Further fields of `spec.analysis`."""

    def services(self) -> list["Service"]:
        """Return all services."""
        return [
            Service(f"{self.prefix}-{number // self.each}", f"svc-{number}")
            for number in range(self.size)
        ]

    def release(self, service: "Service") -> Object:
        """Return the service's CanaryRelease."""
        steps = [{"weight": weight, "duration": duration} for weight, duration in self.steps]
        metrics = [
            {"name": "errors", "ratio": {"preset": "http"}},
            {"name": "pool", "pool": {"preset": "hikaricp"}, "leak": {"window": self.window}},
        ]
        spec = {
            "target": {"name": service.name},
            "traffic": {"gatewayAPI": {"name": service.name}, "propagationDelay": "1s"},
            "steps": steps,
            "deadline": "24h",
            "analysis": {"interval": self.interval, "warmUp": "10s", "metrics": metrics}
            | dict(self.analysis),
        }
        return service.build(RELEASES, spec)


@dataclass(frozen=True, slots=True)
class Service:
    """One service: a Deployment of two pods, a Service and a route."""

    namespace: str
    name: str

    def build(self, kind: Kind, spec: Object) -> Object:
        """Return an object of this service's name."""
        metadata = {"name": self.name, "namespace": self.namespace}
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": metadata,
            "spec": spec,
        }

    def deployment(self, version: str = "v1") -> Object:
        """Return the Deployment, about as large as those of users."""
        labels = {"app": self.name}
        container = {
            "name": "app",
            "image": f"registry.example/{self.name}:{version}",
            "env": [{"name": f"SETTING_{n}", "value": f"value of setting {n}"} for n in range(12)],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [container],
                "nodeSelector": SIMULATED,
                "tolerations": [{"operator": "Exists"}],
                "terminationGracePeriodSeconds": 1,
            },
        }
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        return self.build(DEPLOYMENTS, spec)

    def service(self) -> Object:
        """Return the Service."""
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        return self.build(SERVICES, {"selector": {"app": self.name}, "ports": ports})

    def route(self) -> Object:
        """Return a route of a Gateway that nobody serves: traffic is computed from its weights."""
        spec = {
            "parentRefs": [{"name": "none"}],
            "rules": [{"backendRefs": [{"name": self.name, "port": 80}]}],
        }
        return self.build(HTTP_ROUTES, spec)


def connect() -> Client:
    """Return a client that is patient with a busy API server."""
    timeouts = RequestTimeouts(connect=30.0, read=60.0)
    return Client(load_transport(), RetryPolicy(timeouts, attempts=10, budget=120.0))


def has_simulated_nodes(client: Client) -> bool:
    """Return whether the cluster has nodes whose pods are simulated."""
    return bool(client.list(NODES, "", SIMULATED))


def create(client: Client, fleet: Fleet, services: Sequence[Service]) -> None:
    """Create these services of the fleet with their releases; those that exist stay."""
    create_workloads(client, services)
    create_releases(client, fleet, services)


def create_releases(client: Client, fleet: Fleet, services: Iterable[Service]) -> None:
    """Create the CanaryReleases of these services."""
    run_for_each(lambda one: _ensure(client, RELEASES, one.namespace, fleet.release(one)), services)


def create_workloads(client: Client, services: Sequence[Service]) -> None:
    """Create Deployment, Service and route of each; those that exist stay."""
    there = {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in client.list(HTTP_ROUTES, "", {})
    }
    services = [one for one in services if (one.namespace, one.name) not in there]
    for name in sorted({one.namespace for one in services}):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        _ensure(client, NAMESPACES, "", body)

    def make(one: Service) -> None:
        _ensure(client, DEPLOYMENTS, one.namespace, one.deployment())
        _ensure(client, SERVICES, one.namespace, one.service())
        _ensure(client, HTTP_ROUTES, one.namespace, one.route())

    run_for_each(make, services)


def deploy(client: Client, services: Iterable[Service], version: str) -> None:
    """Deploy another version of these services, as `kubectl set image` does."""

    def change(one: Service) -> None:
        path = "/spec/template/spec/containers/0/image"
        image = f"registry.example/{one.name}:{version}"
        patch = [{"op": "replace", "path": path, "value": image}]
        client.patch(DEPLOYMENTS, one.namespace, one.name, patch)

    run_for_each(change, services)


def delete(client: Client, fleet: Fleet) -> None:
    """Delete the namespaces of the fleet, and wait until they are gone.

    Its releases need no operator for that.
    """
    names = {one.namespace for one in fleet.services()}
    for name in sorted(names):
        for release in client.list(RELEASES, name, {}):
            if release["metadata"].get("finalizers"):
                patch = [{"op": "remove", "path": "/metadata/finalizers"}]
                client.patch(RELEASES, name, release["metadata"]["name"], patch)
        client.delete(NAMESPACES, "", name, "Background")

    def left() -> int:
        return sum(one["metadata"]["name"] in names for one in client.list(NAMESPACES, "", {}))

    wait_for_progress("namespaces to be gone", left)


def run_for_each(call: Callable[[Service], None], services: Iterable[Service]) -> None:
    """Call it for each service, in a few threads."""
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(call, services):
            pass


def list_services(client: Client, fleet: Fleet) -> list[Service]:
    """Return the first services of the fleet, up to one whose release does not exist."""
    found = {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in client.list(RELEASES, "", {})
    }
    every = fleet.services()
    return list(takewhile(lambda one: (one.namespace, one.name) in found, every))


def _ensure(client: Client, kind: Kind, namespace: str, body: Object) -> None:
    for _ in range(_ATTEMPTS):
        try:
            client.create(kind, namespace, body)
        except ConflictError:  # it exists
            return
        except TransientError:  # it may exist
            continue
        return
