"""The world in memory: a cluster, a router and a monitoring system small enough to read.

It implements every Protocol of `canary.interfaces`, keeps time by hand, carries requests every
simulated second, and can die after any write. Tests assert on what it looks like afterwards.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from canary.api import CheckStatus, Spec, Status, Verdict, load_release
from canary.core.analysis.result import NOT_ANALYZED
from canary.core.due_checks import select_due_checks
from canary.core.increments import Side
from canary.core.invariants import broken_by_action, broken_by_plan, broken_now
from canary.core.plan import (
    Action,
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    PinMinReplicas,
    RestartTarget,
    RestoreRoute,
    RestoreTemplate,
    ResumeTarget,
    RunChecks,
    SetWeight,
    TrafficAction,
    UnmanageTarget,
    UnpinMinReplicas,
    WorkloadAction,
)
from canary.core.rollout import decide
from canary.core.sampling import selector_matches
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series, SeriesQuery, Unavailable
from canary.core.snapshot import (
    Canary,
    Pod,
    PodFailure,
    Rejection,
    ReleaseRequest,
    ReleaseResource,
    Route,
    Snapshot,
    TargetDeployment,
    Verb,
)
from canary.errors import ConflictError, NotFoundError, TransientError
from canary.interfaces import Key, Notice, TrafficRouter, Workload, World
from canary.observe import observe
from canary.reconcile import analyze_safely, reconcile
from canary.routers.several import MultiRouteRouter
from canary.status_update import PassResult

START = 1_000_000.0
KEY = Key("prod", "auth")

RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  traffic: {traefik: {traefikService: auth}, propagationDelay: 2s}
  steps:
  - {weight: 5, duration: 20s}
  - {weight: 25, duration: 20s}
  - {weight: 50, duration: 20s}
  deadline: 30m
  progressDeadline: 60s
  analysis:
    interval: 5s
    warmUp: 5s
    minDuration: 60s
    noDataTimeout: 60s
    metrics:
    - {name: errors, ratio: {total: http_requests_total, bad: 'http_requests_total{code="500"}'}}
"""


RESTARTED = "+restarted"
"""What the annotation of a restart makes of a template's name."""


class SimulatedCrash(Exception):  # noqa: N818 - it is not an error of ours: the process is gone
    """The controller dies here."""


@dataclass
class SimulatedVersion:
    """How a template behaves."""

    errors: float = 0.001
    ready_after: float = 3.0
    crashes: bool = False
    out_of_memory: bool = False


@dataclass
class SimulatedInstance:
    """One running pod."""

    name: str
    template: str
    born: float
    ready_since: float | None = None
    lost_ready_at: float | None = None
    restarts: int = 0
    total: int = 0
    bad: int = 0
    seen: list[tuple[float, int, int]] = field(default_factory=list)


@dataclass
class SecondRoute:
    """The state of the second route."""

    weight: int | None = None
    weight_at: float = START - 100
    shown: int = 0
    slower: float = 0.0
    """Seconds that it takes longer to confirm than the first one."""
    refuses: bool = False
    unreadable: bool = False
    gone: bool = False


@dataclass
class InMemoryWorld:
    """All of the world's state, and the Protocols on top of it."""

    spec: Spec = field(default_factory=lambda: load_release(RELEASE, "tests").spec)
    versions: dict[str, SimulatedVersion] = field(default_factory=dict)
    rps: float = 200.0
    replicas: int = 4
    seed: int = 1
    checks: dict[str, Verdict] = field(default_factory=dict)
    time: float = START
    status: Status = field(default_factory=Status)
    version: int = 1
    generation: int = 1
    deleting_since: float | None = None
    gone: bool = False
    request: ReleaseRequest | None = None
    template: str = "v1"
    held: bool = False
    no_target: bool = False
    no_route: bool = False
    canary_template: str | None = None
    weight: int | None = None
    """None: the route is what the user wrote."""
    weight_at: float = START - 100
    confirm_after: float = 1.0
    two_routes: bool = False
    """A second route sends to the Service as well."""
    second: "SecondRoute" = field(default_factory=SecondRoute)
    monitoring: str = "up"
    mute: str = ""
    """A metric that nobody can read."""
    linger: float = 0.0
    """Seconds for which keep-alive connections still reach a canary whose weight is 0."""
    checks_started: bool = False
    floor: int | None = None
    """What an autoscaler may not go below."""
    rejection: Rejection | None = None
    """What the target's annotation says."""
    foreign_status: bool = False
    """Somebody else wrote the status, so what it says and the world need not agree at first."""
    writes: int = 0
    die_after: int | None = None
    refuse: list[type] = field(default_factory=list)
    impossible: type | None = None
    """Actions that cannot be carried out, however often they are tried."""
    dropped: int = 0
    served: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    trail: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judged = NOT_ANALYZED
        self.last_weight_at = float("-inf")
        self.random = random.Random(self.seed)  # noqa: S311 - simulated requests, not secrets
        self.names = iter(range(10_000))
        self.pods = [self._instance("auth", "v1", self.time - 4000) for _ in range(self.replicas)]
        self.canaries: list[SimulatedInstance] = []
        self.gone_pods: list[SimulatedInstance] = []
        for pod in self.pods:
            pod.ready_since = pod.born

    # What people and time do

    @property
    def world(self) -> World:
        """The Protocols, all of them this object's."""
        return World(
            clock=self,
            releases=_Store(self),
            workloads=_Workloads(self),
            traffic=self.traffic,
            metrics=_Metrics(self),
            notifier=self,
        )

    def ask(self, verb: Verb, **details: Any) -> None:
        """A person asks for something."""
        self.request = ReleaseRequest(verb, f"{verb}-{self.time}", **details)

    @property
    def traffic(self) -> TrafficRouter:
        """One route, or two of them as one."""
        if not self.two_routes:
            return _Traffic(self)
        return MultiRouteRouter({"HTTPRoute web": _Traffic(self), "GRPCRoute api": _Second(self)})

    def deploy(self, template: str) -> None:
        """The user applies a new template."""
        self.template = template
        self.generation += 1

    def scale(self, replicas: int) -> None:
        """An autoscaler gives stable more pods; they are ready at once."""
        while len(self.pods) < replicas:
            self.pods.append(self._instance("auth", self.pods[0].template, self.time))
            self.pods[-1].ready_since = self.time
        self.replicas = replicas

    def shrink(self, replicas: int, floor: int) -> None:
        """Manifests are applied again: so many pods, and so many as the autoscaler's floor."""
        self.pods, self.replicas, self.floor = self.pods[:replicas], replicas, floor

    def _keep_floor(self) -> None:
        """As an autoscaler does it."""
        if self.floor is not None and self.replicas < self.floor:
            self.scale(self.floor)

    def tick(self, seconds: float) -> None:
        """Time passes: pods come up, the target rolls, requests are served, counters are seen."""
        for _ in range(round(seconds)):
            self.time += 1.0
            self._start_pods()
            self._roll()
            self._serve()
            for pod in [*self.pods, *self.canaries]:
                pod.seen.append((self.time, pod.total, pod.bad))

    def step(self) -> PassResult:
        """One pass, then as much time as it asked for (at least none, at most ten seconds)."""
        snap = observe(self.world, KEY)
        self.judged = analyze_safely(snap)
        broken = broken_by_plan(snap, self.judged, decide(snap, self.judged))
        assert not broken, (broken, self.trail[-6:])
        outcome = reconcile(self.world, KEY)
        self._wait(10.0 if outcome.requeue_after is None else min(outcome.requeue_after, 10.0))
        return outcome

    def _wait(self, seconds: float) -> None:
        """Time passes until the next pass is due, or until pods become ready or cease to be."""
        before = self._readiness()
        for _ in range(round(seconds)):
            self.tick(1)
            if self._readiness() != before:
                return

    def is_rejected(self, template: str) -> bool:
        """Whether the annotation names this template, or the one that it restarts."""
        named = {template, template.removesuffix(RESTARTED)}
        return self.rejection is not None and self.rejection.template in named

    def beside(self) -> str | None:
        """The only other template than the wanted one with ready pods."""
        ready = {pod.template for pod in self.pods if pod.ready_since is not None}
        others = ready - {self.template}
        return others.pop() if len(others) == 1 else None

    def _readiness(self) -> list[bool]:
        return [pod.ready_since is not None for pod in (*self.pods, *self.canaries)]

    def lose(self, count: int, seconds: float) -> None:
        """So many canary pods stop being ready, for so long."""
        for pod in self.canaries[:count]:
            pod.ready_since, pod.lost_ready_at = None, self.time
            pod.born = self.time + seconds - self._behaviour(pod.template).ready_after

    def run(self, seconds: float, *, until: str | None = None) -> None:
        """Passes until this phase, or for so long."""
        end, passes = self.time + seconds, 0
        while self.time < end and not self.gone and passes < 5000:
            self.step()
            passes += 1
            if until is not None and self.status.phase == until:
                return

    def now(self) -> float:
        return self.time

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    def snapshot(self) -> Snapshot:
        """The world as it is, without metrics: what the invariants look at."""
        resource = _Store(self).read(KEY)
        workload = _Workloads(self).read(resource)
        # An invariant looks at what is there, not at what can be read at the moment.
        unreadable, self.second.unreadable = self.second.unreadable, False
        route = self.traffic.read(resource)
        self.second.unreadable = unreadable
        return Snapshot(self.time, resource, workload.target, workload.canary, route)

    # How it works inside

    def _wrote(self, what: str) -> None:
        self.trail.append(f"{self.time - START:.0f} s: {what}")
        self.writes += 1
        broken = () if self.gone or self.foreign_status else broken_now(self.snapshot())
        assert not broken, (broken, self.trail[-6:])
        if self.die_after is not None and self.writes >= self.die_after:
            self.die_after = None
            raise SimulatedCrash

    def before(self, action: Action) -> None:
        """What an action must not break is checked just before it is carried out."""
        if type(action) is self.impossible:
            raise TransientError("no ReplicaSet keeps it", retry_after=10.0)
        if type(action) in self.refuse:
            self.refuse.remove(type(action))
            raise ConflictError("somebody else wrote in between")
        broken = broken_by_action(self.snapshot(), self.judged, action)
        assert not broken, (broken, self.trail[-6:])

    def _instance(self, name: str, template: str, born: float) -> SimulatedInstance:
        return SimulatedInstance(f"{name}-{next(self.names)}", template, born)

    def _behaviour(self, template: str) -> SimulatedVersion:
        return self.versions.get(template.removesuffix(RESTARTED), SimulatedVersion())

    def _start_pods(self) -> None:
        for pod in [*self.pods, *self.canaries]:
            behaviour = self._behaviour(pod.template)
            age = self.time - pod.born
            if pod.ready_since is None and age >= behaviour.ready_after:
                pod.ready_since = self.time
            if behaviour.crashes and pod.ready_since is not None and age > 8:
                pod.born, pod.ready_since = self.time, None
                pod.restarts += 1

    def _roll(self) -> None:
        if self.held:
            return
        old = [pod for pod in self.pods if pod.template != self.template]
        fresh = [p for p in self.pods if p.template == self.template and p.ready_since is None]
        if old and not fresh:
            self.pods.remove(old[0])
            self.gone_pods.append(old[0])
            self.pods.append(self._instance("auth", self.template, self.time))

    def data_plane_weight(self) -> int:
        """What the router really does: it lags behind what was written."""
        if self.time - self.weight_at >= self.confirm_after + 0.5:
            self.shown = self.weight or 0
        return getattr(self, "shown", 0)

    def second_data_plane_weight(self) -> int:
        """The same of the second route."""
        if self.time - self.second.weight_at >= self.confirm_after + 0.5:
            self.second.shown = self.second.weight or 0
        return self.second.shown

    def _serve(self) -> None:
        weight = self.data_plane_weight()
        weights = [weight, self.second_data_plane_weight()] if self.two_routes else [weight]
        for index in range(round(self.rps)):
            canary = self.random.random() * 100 < weights[index % len(weights)]
            self._request(self.canaries if canary else self.pods)
        if any(weights):
            self.last_weight_at = self.time
        elif 0 < self.time - self.last_weight_at < self.linger:
            self._request(self.canaries)

    def _request(self, side: list[SimulatedInstance]) -> None:
        ready = [pod for pod in side if pod.ready_since is not None]
        if not ready:
            self.dropped += 1
            return
        pod = ready[self.random.randrange(len(ready))]
        pod.total += 1
        self.served[pod.template] = self.served.get(pod.template, 0) + 1
        if self.random.random() < self._behaviour(pod.template).errors:
            pod.bad += 1
            self.failed[pod.template] = self.failed.get(pod.template, 0) + 1


@dataclass
class _Store:
    memory: InMemoryWorld

    def read(self, _key: Key) -> ReleaseResource:
        m = self.memory
        if m.gone:
            raise NotFoundError("no such release")
        return ReleaseResource(
            name=KEY.name,
            namespace=KEY.namespace,
            generation=m.generation,
            spec=m.spec,
            status=m.status,
            version=str(m.version),
            deleting_since=m.deleting_since,
            request=m.request,
        )

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        m = self.memory
        if resource.version != str(m.version):
            raise ConflictError("the status changed in between")
        # Through JSON, as a real store does it.
        m.status = Status.model_validate_json(status.model_dump_json(by_alias=True))
        m.version += 1
        m._wrote(f"status {status.intent} {status.reason} step {status.step}")

    def remove_finalizer(self, _wish: ReleaseResource) -> None:
        self.memory.gone = True
        self.memory._wrote("let go")


@dataclass
class _Metrics:
    memory: InMemoryWorld

    def final_until(self, now: float) -> float:
        return now

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        if self.memory.monitoring == "down":
            return {query.key: Unavailable("connection refused") for query in queries}
        if self.memory.monitoring == "silent":
            return {query.key: NoData("no series") for query in queries}
        return {
            query.key: Unavailable("it is mute")
            if self.memory.mute and query.key.startswith(self.memory.mute)
            else self._answer(query, start - query.history, end)
            for query in queries
        }

    def _answer(self, query: SeriesQuery, start: float, end: float) -> MetricAnswer:
        m = self.memory
        found = []
        for pod in [*m.pods, *m.canaries, *m.gone_pods]:
            seen = [one for one in pod.seen if start <= one[0] <= end]
            for code in ("200", "500"):
                points = ((t, float(bad if code == "500" else all_ - bad)) for t, all_, bad in seen)
                labels = {"namespace": KEY.namespace, "pod": pod.name, "code": code}
                found += (
                    [Series(labels, tuple(points))]
                    if selector_matches(query.selector, labels)
                    else []
                )
        series = tuple(one for one in found if one.points)
        return FoundSeries(series) if series else NoData("no series")


@dataclass
class _Workloads:
    memory: InMemoryWorld

    def read(self, resource: ReleaseResource) -> Workload:
        m = self.memory
        target = None
        if not m.no_target:
            templates = {pod.template for pod in m.pods}
            whole = {pod.template for pod in m.pods if pod.ready_since is not None}
            done = len(whole) == 1 and all(pod.ready_since is not None for pod in m.pods)
            held = m.held or (m.status.stable_hash is None)
            target = TargetDeployment(
                replicas=m.replicas,
                template=m.template,
                running=whole.pop() if done else None,
                held=held,
                pods=tuple(self._pod(pod) for pod in m.pods),
                floor=m.floor,
                restart_of=m.template.removesuffix(RESTARTED) if RESTARTED in m.template else None,
                rejection=m.rejection,
                rejected=frozenset(filter(m.is_rejected, {m.template, *templates})),
                other_ready=m.beside(),
            )
        canary = None
        if m.canary_template is not None:
            pods = tuple(self._pod(pod) for pod in m.canaries)
            canary = Canary(m.canary_template, len(m.canaries), pods)
        return Workload(target, canary, self._checks(resource))

    def _checks(self, resource: ReleaseResource) -> tuple[CheckStatus, ...]:
        if not self.memory.checks_started:
            return ()
        verdicts = self.memory.checks
        return tuple(
            CheckStatus(name=check.name, verdict=verdicts.get(check.name, Verdict.CONTINUE))
            for check in select_due_checks(resource.spec, resource.status).checks
        )

    def _pod(self, pod: SimulatedInstance) -> Pod:
        oom = self.memory._behaviour(pod.template).out_of_memory and pod.ready_since is not None
        trouble = PodFailure.OUT_OF_MEMORY if oom else None
        ready = pod.ready_since is not None
        lost = None if ready else pod.lost_ready_at
        return Pod(pod.name, ready, pod.ready_since, pod.restarts, trouble, lost)

    def apply(self, _wish: ReleaseResource, action: WorkloadAction) -> None:
        m = self.memory
        m.before(action)
        match action:
            case PauseTarget():
                m.held = True
            case RestoreTemplate(template, roll):
                self._put_back(template, roll=roll)
            case ResumeTarget() | UnmanageTarget():
                m.held = False
            case RestartTarget(template):
                m.template, m.held = f"{template}{RESTARTED}", False
            case EnsureCanary(template, replicas):
                self._scale(template, replicas)
            case DeleteCanary():
                m.gone_pods += m.canaries
                m.canaries, m.canary_template = [], None
            case PinMinReplicas() | UnpinMinReplicas():
                m.floor = action.replicas if isinstance(action, PinMinReplicas) else None
                m._keep_floor()
            case RunChecks():
                m.checks_started = True
            case NoteRejection(rejection):
                m.rejection = rejection
        m._wrote(str(action))

    def _put_back(self, template: str, *, roll: bool) -> None:
        m = self.memory
        m.template, m.held = template, not roll
        for pod in [pod for pod in m.pods if pod.template != template and not roll]:
            m.pods.remove(pod)
            m.pods.append(m._instance("auth", template, m.time))

    def _scale(self, template: str, replicas: int) -> None:
        m = self.memory
        m.canary_template = template
        while len(m.canaries) < replicas:
            m.canaries.append(m._instance("auth-canary", template, m.time))
        m.gone_pods += m.canaries[replicas:]
        m.canaries = m.canaries[:replicas]


@dataclass
class _Traffic:
    memory: InMemoryWorld

    def read(self, _wish: ReleaseResource) -> Route | None:
        m = self.memory
        if m.no_route:
            return None
        confirmed = m.time - m.weight_at >= m.confirm_after
        backends = {Side.CANARY: "auth-canary", Side.STABLE: "auth"}
        return Route(m.weight or 0, confirmed, m.weight is None, None, backends)

    def apply(self, _wish: ReleaseResource, action: TrafficAction) -> None:
        m = self.memory
        m.before(action)
        weight = action.weight if isinstance(action, SetWeight) else None
        if isinstance(action, RestoreRoute) and m.weight is None:
            return
        m.data_plane_weight()
        if (m.weight or 0) != (weight or 0):
            m.weight_at = m.time
        m.weight = weight
        m._wrote(str(action))


@dataclass
class _Second:
    """A second route, whose API may refuse what the first one takes."""

    memory: InMemoryWorld

    def read(self, _wish: ReleaseResource) -> Route | None:
        m, second = self.memory, self.memory.second
        if second.unreadable:
            raise TransientError("GRPCRoute api cannot be read")
        if second.gone:
            return None
        confirmed = m.time - second.weight_at >= m.confirm_after + second.slower
        return Route(second.weight or 0, confirmed, second.weight is None)

    def apply(self, _wish: ReleaseResource, action: TrafficAction) -> None:
        m, second = self.memory, self.memory.second
        weight = action.weight if isinstance(action, SetWeight) else None
        if second.weight == weight:
            return
        if second.refuses or second.unreadable or (second.gone and weight):
            raise ConflictError("GRPCRoute api cannot be written")
        m.before(action)
        m.second_data_plane_weight()
        if (second.weight or 0) != (weight or 0):
            second.weight_at = m.time
        second.weight = weight
        m._wrote(f"{action} on the second route")
