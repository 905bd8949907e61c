"""A cluster in memory in which things happen: rolls, requests, metrics, and time twenty times as fast.

The API server is tests/kube/fake_cluster.py; the operator that works on it is the real one, with its
watches, its queue, its workers and its batched metrics.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from math import floor
from typing import Any

import yaml

from canary.core.sampling import selector_matches
from canary.core.series import (
    FoundSeries,
    MetricAnswer,
    NoData,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.http.addresses import EVERYWHERE
from canary.interfaces import MetricSource
from canary.kube.api_errors import NotLeaderError
from canary.kube.leases import LeaseName, LeaseTerms
from canary.kube.objects import (
    DEPLOYMENTS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    TRAEFIK_SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.template import template_hash
from canary.operator.metrics import OperatorMetrics
from canary.operator.run import ApiAccess, Operator
from canary.operator.settings import OperatorSettings
from tests.kube.fake_cluster import FakeCluster

NAMESPACE = "prod"
SPEED = 20.0
PATIENCE = 30.0
"""Real seconds after which something that is waited for does not come any more."""
ERRORS = {"auth:1": 0.0, "auth:2": 0.0, "auth:broken": 0.5}
RATE = 400.0
"""Requests per second to each service."""

RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: NAME, namespace: prod}
spec:
  target: {name: NAME}
  traffic: {traefik: {traefikService: NAME}, propagationDelay: 0s}
  steps:
  - {weight: 20, duration: 5s}
  - {weight: 50, duration: 5s}
  analysis:
    interval: 5s
    toleratedIncident: 0s
    warmUp: 0s
    minDuration: 10s
    smallestRegression: 0.05
    metrics:
    - {name: errors, ratio: {preset: http}}
"""
ROUTE = """
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: NAME, namespace: prod}
spec:
  weighted:
    services:
    - {name: NAME, port: 8080}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: prod}
spec: {selector: {app: NAME}, ports: [{port: 8080}]}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: prod}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: app, image: 'auth:1'}]}
"""


class FastTiming:
    """The monotonic clock, as in a film played faster."""

    def now(self) -> float:
        return time.monotonic() * SPEED

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        condition.wait(None if seconds is None else seconds / SPEED)


class FastClock:
    """Seconds since the epoch, at the same speed."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> float:
        return 1_800_000_000 + (time.monotonic() - self._began) * SPEED


@dataclass
class SimulatedClient:
    """The cluster as one operator writes to it: fenced, and with a record of its writes."""

    cluster: FakeCluster
    remaining: Callable[[], float]
    wrote: list[str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster, name)

    def _write(self, name: str, *arguments: Any) -> Any:
        if self.remaining() <= 0:
            raise NotLeaderError("this replica does not hold the lease")
        self.wrote.append(f"{name} {arguments[0].plural}")
        return getattr(self.cluster, name)(*arguments)

    def create(self, *arguments: Any) -> Any:
        return self._write("create", *arguments)

    def patch(self, *arguments: Any) -> Any:
        return self._write("patch", *arguments)

    def replace_status(self, *arguments: Any) -> Any:
        return self._write("replace_status", *arguments)

    def remove(self, *arguments: Any) -> Any:
        return self._write("remove", *arguments)


@dataclass
class CountedClient:
    """One pod's counters, second by second."""

    labels: Mapping[str, str]
    errors: float
    total: float = 0.0
    bad: float = 0.0
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    def count(self, at: float, requests: float) -> None:
        self.total += requests
        self.bad += requests * self.errors
        self.seen.append((at, floor(self.total), floor(self.bad)))


class SimulatedCluster:
    """The cluster, what its controllers do, who sends requests, and who counts them."""

    def __init__(self, *names: str) -> None:
        self.clock = FastClock()
        self.timing = FastTiming()
        self.cluster = FakeCluster(self.clock.now)
        self.names = names
        self.asked: list[str] = []
        """Metrics of the queries that came in."""
        self.monitoring = True
        self.pods_start = True
        """Whether new pods become ready."""
        self._pods: dict[str, CountedClient] = {}
        self._until = floor(self.clock.now())
        self._lock = threading.RLock()
        self._over = False
        for name in names:
            self.deploy(name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # what people do

    def deploy(self, name: str, **replaced: str) -> None:
        """A service of that name, guarded; `replaced` changes the release's manifest."""
        release = RELEASE
        for old, new in replaced.items():
            assert old in release
            release = release.replace(old, new)
        manifests = (
            (SERVICES, SERVICE),
            (TRAEFIK_SERVICES, ROUTE),
            (DEPLOYMENTS, DEPLOYMENT),
            (RELEASES, release),
        )
        for kind, text in manifests:
            self.cluster.put(kind, yaml.safe_load(text.replace("NAME", name)))

    def ship(self, name: str, image: str) -> None:
        """Another version."""
        path = "/spec/template/spec/containers/0/image"
        change = {"op": "replace", "path": path, "value": image}
        self.cluster.edit(DEPLOYMENTS, NAMESPACE, name, [change])

    # what is to be seen

    def status(self, name: str) -> dict[str, Any]:
        found = self.cluster.get(RELEASES, NAMESPACE, name)
        assert found is not None
        return dict(found.get("status") or {})

    def weight(self, name: str) -> int | None:
        """Of the canary in the route; None: nothing of ours is in it."""
        return read_weight(self.cluster.get(TRAEFIK_SERVICES, NAMESPACE, name))

    def images(self, name: str) -> set[str]:
        """Of the pods of a Deployment."""
        return {
            pod["spec"]["containers"][0]["image"]
            for pod in self.cluster.list(PODS, NAMESPACE, {"deployment": name})
        }

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Waits until it is so."""
        end = time.monotonic() + PATIENCE
        with self.cluster.changed:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"{what} did not come; {[self.status(n) for n in self.names]}"
                self.cluster.changed.wait(min(left, 0.1))

    def until_phase(self, name: str, phase: str) -> None:
        self.until(f"{name} {phase}", lambda: self.status(name).get("phase") == phase)

    # what Prometheus would say

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        with self._lock:
            self.asked += [query.selector.metric for query in queries]
            return {query.key: self._answer(query, start, end) for query in queries}

    def final_until(self, now: float) -> float:
        return float(floor(now - 1))

    # inside

    def close(self) -> None:
        with self.cluster.changed:
            self._over = True
            self.cluster.changed.notify_all()
        self._thread.join(5)

    def _run(self) -> None:
        """The Deployment controller, the kubelet, the router and its users."""
        while not self._over:
            with self.cluster.changed:
                for deployment in self.cluster.list(DEPLOYMENTS, NAMESPACE, {}):
                    self._roll(deployment)
                self._serve(floor(self.clock.now()))
                self.cluster.changed.wait(0.5 / SPEED)

    def _serve(self, until: int) -> None:
        with self._lock:
            sides = {
                name: (self._ready(name), self._ready(f"{name}-canary"), self.weight(name) or 0)
                for name in self.names
            }
            for second in range(self._until + 1, until + 1):
                for stable, canary, weight in sides.values():
                    share = weight / 100 if canary else 0.0
                    for pods, part in ((stable, 1 - share), (canary, share)):
                        for pod in pods:
                            pod.count(second, RATE * part / len(pods))
            self._until = max(self._until, until)

    def _ready(self, deployment: str) -> list[CountedClient]:
        found = []
        for pod in self.cluster.list(PODS, NAMESPACE, {"deployment": deployment}):
            name = pod["metadata"]["name"]
            labels = {"namespace": NAMESPACE, "pod": name}
            errors = ERRORS[pod["spec"]["containers"][0]["image"]]
            found.append(self._pods.setdefault(name, CountedClient(labels, errors)))
        return found

    def _answer(self, query: SeriesQuery, start: float, end: float) -> MetricAnswer:
        if not self.monitoring:
            return Unavailable("nobody answers")
        series = []
        for pod, bad in product(self._pods.values(), (False, True)):
            labels = {**pod.labels, "code": "500" if bad else "200"}
            if selector_matches(query.selector, labels):
                begin = start - query.history
                points = tuple(
                    (float(at), float(failed if bad else total - failed))
                    for at, total, failed in pod.seen
                    if begin <= at <= end
                )
                series += [Series(labels, points)] if points else []
        return FoundSeries(tuple(series)) if series else NoData("nothing")

    def _roll(self, deployment: Object) -> None:
        """All at once, which is a strategy as good as any here."""
        metadata, spec = deployment["metadata"], deployment["spec"]
        digest = template_hash(spec["template"])[:6]
        name = f"{metadata['name']}-{digest}"
        sets = self.cluster.list(REPLICA_SETS, NAMESPACE, {"deployment": metadata["name"]})
        if spec.get("paused") and name not in {one["metadata"]["name"] for one in sets}:
            self._count(deployment, 0, sum(one["spec"]["replicas"] for one in sets))
            return
        self._set(deployment, name, digest, spec["replicas"])
        for one in sets:
            if one["metadata"]["name"] != name and one["spec"]["replicas"]:
                self._scale(one, 0)
        self._count(deployment, spec["replicas"], spec["replicas"])

    def _set(self, deployment: Object, name: str, digest: str, replicas: int) -> None:
        found = self.cluster.get(REPLICA_SETS, NAMESPACE, name)
        if found is None:
            template = deepcopy(deployment["spec"]["template"])
            template["metadata"]["labels"]["pod-template-hash"] = digest
            labels = {
                **template["metadata"]["labels"],
                "deployment": deployment["metadata"]["name"],
            }
            metadata = {
                **self._metadata(name, labels),
                "ownerReferences": [_owner(DEPLOYMENTS, deployment)],
            }
            found = {"metadata": metadata, "spec": {"replicas": 0, "template": template}}
        if found["spec"]["replicas"] != replicas:
            self._scale(found, replicas)

    def _scale(self, one: Object, replicas: int) -> None:
        one = deepcopy(one)
        one["spec"]["replicas"] = replicas
        one["status"] = {"replicas": replicas}
        one = self.cluster.put(REPLICA_SETS, one)
        status = "True" if self.pods_start else "False"
        ready = {"type": "Ready", "status": status, "lastTransitionTime": self._stamp()}
        for index in range(max(replicas, 4)):
            name = f"{one['metadata']['name']}-{index}"
            there = self.cluster.get(PODS, NAMESPACE, name) is not None
            if index < replicas and not there:
                metadata = {
                    **self._metadata(name, one["metadata"]["labels"]),
                    "ownerReferences": [_owner(REPLICA_SETS, one)],
                }
                spec = one["spec"]["template"]["spec"]
                status = {"phase": "RunningOperator", "conditions": [ready]}
                self.cluster.put(PODS, {"metadata": metadata, "spec": spec, "status": status})
            elif there and index >= replicas:
                self.cluster.delete(PODS, NAMESPACE, name, "Background")

    def _count(self, deployment: Object, updated: int, replicas: int) -> None:
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": replicas,
            "availableReplicas": replicas,
            "updatedReplicas": updated,
        }
        if deployment.get("status") != status:
            self.cluster.put(DEPLOYMENTS, {**deployment, "status": status})

    def _metadata(self, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
        return {"name": name, "namespace": NAMESPACE, "labels": dict(labels)}

    def _stamp(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.now()))


def read_weight(route: Object | None) -> int | None:
    """Percent of the canary; None without one."""
    services = route["spec"]["weighted"]["services"] if route else []
    weights = {one["name"]: one.get("weight", 1) for one in services}
    canary = [weight for name, weight in weights.items() if name.endswith("-canary")]
    return round(100 * canary[0] / sum(weights.values())) if canary else None


def _owner(kind: Kind, item: Object) -> dict[str, Any]:
    metadata = item["metadata"]
    return {
        "kind": kind.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


@dataclass(frozen=True)
class UnclosedSource:
    """A source of the test in the place of a Prometheus."""

    source: MetricSource

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        return self.source.read(queries, start, end, step)

    def final_until(self, now: float) -> float:
        return self.source.final_until(now)

    def close(self) -> None:
        """The test ends what it has begun."""


@dataclass
class RunningOperator:
    """One operator at work in a thread."""

    operator: Operator
    telemetry: OperatorMetrics
    wrote: list[str]
    stop: threading.Event
    thread: threading.Thread
    failed: list[BaseException]

    def end(self) -> None:
        """As SIGTERM does."""
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the operator did not end"
        assert not self.failed, self.failed


@contextmanager
def run_operator(
    town: SimulatedCluster, lease: str | None = None, metrics: MetricSource | None = None
) -> Iterator[RunningOperator]:
    """The operator at work; `lease` is its identity where several contend."""
    wrote: list[str] = []
    telemetry = OperatorMetrics()
    settings = OperatorSettings(
        addresses=EVERYWHERE,
        workers=4,
        lease=LeaseName("prod", "canary", lease) if lease else None,
        terms=LeaseTerms(duration=120.0, renew_deadline=80.0, retry=10.0),
    )
    api = ApiAccess(
        SimulatedClient(town.cluster, lambda: 1.0, wrote),
        lambda remaining: SimulatedClient(town.cluster, remaining, wrote),
        town.cluster,
    )
    operator = Operator(
        settings, api, lambda _: UnclosedSource(metrics or town), telemetry, town.clock, town.timing
    )
    stop, failed = threading.Event(), []

    def run() -> None:
        try:
            operator.run(stop)
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    running = RunningOperator(operator, telemetry, wrote, stop, thread, failed)
    thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        thread.join(PATIENCE)
    assert not failed, failed


@contextmanager
def start_cluster(*names: str) -> Iterator[SimulatedCluster]:
    """A town with these services, each guarded by a release of the same name."""
    town = SimulatedCluster(*names)
    try:
        yield town
    finally:
        town.close()
