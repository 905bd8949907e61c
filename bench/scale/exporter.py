"""Metrics pages of simulated pods: `python -m bench.scale.exporter PORT`.

Requests of each service are split over its pods by the weights in its HTTPRoute, so a canary has
no requests while its weight is 0. A fault makes every request of a service's canary pods fail:
`POST /faults` takes the names of all faulty services, `NAMESPACE/NAME` each in a line. Each page
`/metrics/N` has the series of one of `PAGES` parts of the services. It also does what a Gateway's
controller does: it accepts each generation of a route in the route's status.
"""

import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

from bench.scale.fleet import connect
from canary.clock import SystemClock
from canary.errors import CanaryError
from canary.kube.cache import Cache, Scope
from canary.kube.client import Client
from canary.kube.objects import HTTP_ROUTES, PODS, Object
from canary.kube.reflector import Reflector
from canary.kube.timing import Stopper, SystemTiming

PAGES = 60
RATE = 100.0
"""Requests per second of each service."""
_BAD = 0.001
"""Share of requests that fail without a fault."""
_HELD = 0.02
"""Seconds for which a request holds a connection of the pool."""
CANARY = "-canary"


@dataclass(slots=True)
class _Pod:
    """Counters of one pod since it was first seen."""

    labels: str
    canary: bool
    good: float = 0.0
    bad: float = 0.0

    def lines(self) -> Iterator[str]:
        good, bad = int(self.good), int(self.bad)
        yield f'http_requests_total{{{self.labels},code="200"}} {good}\n'
        yield f'http_requests_total{{{self.labels},code="500"}} {bad}\n'
        pool = f'{self.labels},pool="main"'
        yield f"hikaricp_connections_active{{{pool}}} 2\n"
        yield f"hikaricp_connections_max{{{pool}}} 20\n"
        yield f"hikaricp_connections_pending{{{pool}}} 0\n"
        yield f"hikaricp_connections_timeout_total{{{pool}}} 0\n"
        yield f"hikaricp_connections_usage_seconds_sum{{{pool}}} {(good + bad) * _HELD:.2f}\n"


@dataclass
class _Page:
    """One part of the services."""

    at: float | None = None
    pods: dict[str, _Pod] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Exporter:
    """Counts the requests that each pod would have got, up to the time a page is read."""

    def __init__(self) -> None:
        self.pods = Cache(Scope(PODS), index=_page_index)
        self.routes = Cache(Scope(HTTP_ROUTES))
        self.faults: frozenset[str] = frozenset()
        self._pages: dict[int, _Page] = defaultdict(_Page)

    def render(self, number: int, now: float) -> str:
        """Return the page of this number, at `now` (seconds)."""
        page = self._pages[number]
        with page.lock:
            seconds = 0.0 if page.at is None else now - page.at
            page.at = now
            self._count(page, self.pods.list_indexed(f"page {number}"), seconds)
            return "".join(line for pod in page.pods.values() for line in pod.lines())

    def _count(self, page: _Page, items: object, seconds: float) -> None:
        known, page.pods = page.pods, {}
        services: dict[str, list[_Pod]] = defaultdict(list)
        for item in items:  # type: ignore[attr-defined]
            metadata = item["metadata"]
            if not _is_running(item):
                continue
            pod = known.get(metadata["uid"]) or _Pod(_labels(item), _is_canary(item))
            page.pods[metadata["uid"]] = pod
            services[service_of(item)].append(pod)
        for service, pods in services.items():
            weight = self._weight(service)
            failing = service in self.faults
            for side, share in ((True, weight), (False, 1.0 - weight)):
                mine = [pod for pod in pods if pod.canary is side]
                for pod in mine:
                    requests = seconds * RATE * share / len(mine)
                    bad = requests * (1.0 if side and failing else _BAD)
                    pod.good, pod.bad = pod.good + requests - bad, pod.bad + bad

    def _weight(self, service: str) -> float:
        """Return the canary's share in the service's route."""
        namespace, _, name = service.partition("/")
        route = self.routes.get(namespace, name)
        refs = route["spec"]["rules"][0]["backendRefs"] if route else ()
        weights = {one["name"]: float(one.get("weight", 1)) for one in refs}
        total = sum(weights.values())
        return weights.get(f"{name}{CANARY}", 0.0) / total if total else 0.0


class RouteAcceptor:
    """Accepts routes in the order of their changes, in a thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._changed: queue.SimpleQueue[Object] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def changed(self, _: Object | None, new: Object | None) -> None:
        """Handle a change of a route; return immediately."""
        if new is not None and not _is_accepted(new):
            self._changed.put(new)

    def _work(self) -> None:
        while True:
            route = self._changed.get()
            status = {"parents": [_accept(route)]}
            patch = [{"op": "add", "path": "/status", "value": status}]
            metadata = route["metadata"]
            with suppress(CanaryError):  # deleted
                self._client.patch(
                    HTTP_ROUTES, metadata["namespace"], metadata["name"], patch, "status"
                )


def _is_accepted(route: Object) -> bool:
    parents = (route.get("status") or {}).get("parents") or [{}]
    conditions = parents[0].get("conditions") or [{}]
    found: bool = conditions[0].get("observedGeneration") == route["metadata"]["generation"]
    return found


def _accept(route: Object) -> Object:
    conditions = [
        {
            "type": name,
            "status": "True",
            "reason": name,
            "message": "",
            "lastTransitionTime": route["metadata"]["creationTimestamp"],
            "observedGeneration": route["metadata"]["generation"],
        }
        for name in ("Accepted", "ResolvedRefs")
    ]
    parent = route["spec"]["parentRefs"][0]
    return {"controllerName": "example.com/bench", "parentRef": parent, "conditions": conditions}


def service_of(pod: Object) -> str:
    """Return NAMESPACE/NAME of the service that a pod belongs to, from its ReplicaSet's name."""
    owners = pod["metadata"].get("ownerReferences") or [{"name": ""}]
    name = str(owners[0]["name"]).rpartition("-")[0].removesuffix(CANARY)
    return f"{pod['metadata']['namespace']}/{name}"


def _is_canary(pod: Object) -> bool:
    return f"{CANARY}-" in pod["metadata"]["name"]


def _is_running(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def _page_index(pod: Object) -> tuple[str, ...]:
    return (f"page {crc32(service_of(pod).encode()) % PAGES}",)


def _labels(pod: Object) -> str:
    metadata = pod["metadata"]
    version = (metadata.get("labels") or {}).get("pod-template-hash", "")
    return (
        f'namespace="{metadata["namespace"]}",pod="{metadata["name"]}",'
        f'pod_template_hash="{version}"'
    )


def serve(exporter: Exporter, port: int) -> ThreadingHTTPServer:
    """Return the server of the pages, not started."""
    clock = SystemClock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.rpartition("/")[2]
            self._send(exporter.render(int(number), clock.now()) if number.isdecimal() else "")

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            exporter.faults = frozenset(text.split())
            self._send("")

        def log_message(self, *_: object) -> None:
            """Log no request."""

        def _send(self, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serve until killed; the pods are those of the cluster of KUBECONFIG."""
    client, exporter = connect(), Exporter()
    exporter.routes.on_change(RouteAcceptor(client).changed)
    for cache in (exporter.pods, exporter.routes):
        Reflector(client, cache, Stopper(SystemTiming())).start()
    serve(exporter, int(sys.argv[1])).serve_forever()


if __name__ == "__main__":
    main()
