"""A Service and its canary behind the Gateway of the cluster, for tests of routers.

Needs KUBECONFIG, GATEWAY_URL (where requests go in) and ROUTE_ECHO_IMAGE, any image with python3;
the Gateway is `lab/lab` unless GATEWAY says NAMESPACE/NAME.
"""

import http.client
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from canary.core.plan import RestoreRoute, SetWeight
from canary.core.snapshot import ReleaseResource, Route
from canary.kube.client import Client
from canary.kube.objects import HTTP_ROUTES, Object
from canary.kube.transport import load_transport
from canary.routers.registry import router_of
from canary.routers.route_client import WeightedRouteClient
from tests.routers.golden_routes import build_resource

NAMESPACE = f"route-{os.getpid()}"
HOST = "route-e2e.example"
CRD_HOST = "route-e2e-crd.example"
SETTLE = 5.0
"""Seconds, as `traffic.propagationDelay`: with 2 a busy Traefik still sent one request at weight 0."""

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["SIDE"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server(("", 8080), Handler).serve_forever()
"""


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What kubectl answered; it does not raise when the API server refuses."""
    return subprocess.run(
        ["kubectl", *arguments],  # noqa: S607 - whichever kubectl the person uses
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def must(done: subprocess.CompletedProcess[str]) -> str:
    """Its output; the test ends where it failed."""
    assert done.returncode == 0, done.stderr
    return done.stdout


def applied(*documents: dict[str, Any]) -> str:
    """Client-side apply, as most people do it."""
    return must(kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents)))


def side(name: str, image: str) -> list[dict[str, Any]]:
    """A Deployment that answers with its own name, and its Service."""
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    container = {
        "name": "echo",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "env": [{"name": "SIDE", "value": name}],
        "readinessProbe": probe,
    }
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    meta = {"name": name, "namespace": NAMESPACE}
    selector = {"app": name}
    spec = {"replicas": 1, "selector": {"matchLabels": selector}, "template": template}
    ports = {"selector": selector, "ports": [{"port": 8080}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": ports},
    ]


def manifest(name: str = "auth", **more: object) -> dict[str, Any]:
    """The user's HTTPRoute; without weights, as most people write it."""
    namespace, gateway = os.environ.get("GATEWAY", "lab/lab").split("/")
    rule = {"backendRefs": [{"name": "auth", "port": 8080}], **more}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": namespace}],
            "hostnames": [HOST],
            "rules": [rule],
        },
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Our own client, with both sides running in a namespace that goes afterwards."""
    image = os.environ.get("ROUTE_ECHO_IMAGE", "")
    needed = {"KUBECONFIG", "GATEWAY_URL", "ROUTE_ECHO_IMAGE"} - os.environ.keys()
    if needed or shutil.which("kubectl") is None:
        pytest.skip(f"needs kubectl and {', '.join(sorted(needed)) or 'a cluster'}")
    applied({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    applied(*side("auth", image), *side("auth-canary", image))
    available = ("wait", "--for=condition=Available", "deployment", "--all", "--timeout=90s")
    must(kubectl("-n", NAMESPACE, *available))
    reached = Client(load_transport())
    yield reached
    reached.close()
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@dataclass
class RouterFixture:
    """One route with the router under test, and people who use both."""

    client: Client
    router: WeightedRouteClient
    resource: ReleaseResource

    @property
    def route(self) -> Object:
        """The route as the API server has it."""
        found = self.client.get(self.router.dialect.kind, NAMESPACE, self.router.name)
        assert found is not None
        return found

    @property
    def seen(self) -> Route:
        """The route as the router sees it."""
        route = self.router.read(self.resource)
        assert route is not None
        return route

    def set_weight(self, weight: int) -> None:
        """Writes it."""
        self.router.apply(self.resource, SetWeight(weight))

    def shift(self, weight: int) -> None:
        """Writes it, and waits until the data plane has it."""
        self.set_weight(weight)
        self.settled()

    def restore(self) -> None:
        """As passes do it: again until nothing of ours is left."""

        def at_rest() -> bool:
            self.router.apply(self.resource, RestoreRoute())
            return self.seen.at_rest

        until(at_rest)

    def settled(self) -> None:
        """Waits for confirmation and the settle time."""
        until(lambda: self.seen.confirmed)
        threading.Event().wait(SETTLE)


@pytest.fixture
def stage(client: Client) -> Iterator[RouterFixture]:
    """A user's HTTPRoute, confirmed; deleted afterwards."""
    applied(manifest())
    release = build_resource({"gatewayAPI": {"name": "auth"}}, NAMESPACE)
    made = RouterFixture(client, router_for(release, client), release)
    until(lambda: made.seen.confirmed)
    yield made
    client.delete(HTTP_ROUTES, NAMESPACE, "auth", "Background")


def router_for(release: ReleaseResource, client: Client) -> WeightedRouteClient:
    """The router that the release's spec names."""
    router = router_of(release.spec.traffic, client)
    assert isinstance(router, WeightedRouteClient)
    return router


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for it, looking often."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        threading.Event().wait(0.02)


@dataclass
class Answers:
    """Who answered how often; what is no 200 is counted as its status or error."""

    by: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Requests without a 200."""
        return self.by.total() - self.by["auth"] - self.by["auth-canary"]


def asked(times: int, host: str = HOST) -> Answers:
    """So many requests through the Gateway, one after the other."""
    answers, connection = Answers(), _connection()
    for _ in range(times):
        answers.by[_answer(connection, host)] += 1
    connection.close()
    return answers


@contextmanager
def asking(host: str = HOST, rate: float = 50) -> Iterator[Answers]:
    """A steady load (requests/s) while the block runs."""
    answers, over = Answers(), threading.Event()

    def ask() -> None:
        connection = _connection()
        while not over.wait(1 / rate):
            answers.by[_answer(connection, host)] += 1
        connection.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def _connection() -> http.client.HTTPConnection:
    url = urlsplit(os.environ["GATEWAY_URL"])
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)


def _answer(connection: http.client.HTTPConnection, host: str) -> str:
    try:
        connection.request("GET", "/", headers={"host": host})
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__
    return body if response.status == http.client.OK else str(response.status)
