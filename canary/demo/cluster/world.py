"""Implements the Protocols of `canary.interfaces` with processes on this machine.

`LocalCluster` is the cluster: a Deployment of the auth service, sometimes a canary, and Traefik in
front of them. The other classes are thin views of it, one per Protocol.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from canary.api import Status
from canary.api.spec import Spec
from canary.core.increments import Side
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    RestartTarget,
    RestoreRoute,
    RestoreTemplate,
    ResumeTarget,
    SetWeight,
    TrafficAction,
    UnmanageTarget,
    WorkloadAction,
)
from canary.core.snapshot import (
    Canary,
    Rejection,
    ReleaseRequest,
    ReleaseResource,
    Route,
    TargetDeployment,
)
from canary.demo.cluster.deployment import ProcessDeployment, template_hash
from canary.demo.cluster.instances import Build
from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.traefik import CANARY, STABLE, TraefikServer, TrafficSplit
from canary.errors import ConflictError, NotFoundError, TransientError
from canary.interfaces import Key, Notice, Workload
from canary.metrics.store import ScrapeTarget

NAMESPACE = "local"


class LocalCluster:
    """The Deployments, and the share of traffic that each gets."""

    def __init__(
        self, supervisor: Supervisor, traefik: TraefikServer, stable: ProcessDeployment, dsn: str
    ) -> None:
        self.traefik = traefik
        self.stable = stable
        self.canary: ProcessDeployment | None = None
        self.weight: int | None = None
        """Weight of the canary in percent; None: the user's own route, all traffic to stable."""
        self.changed = False
        """A build other than the first was deployed."""
        self.rejection: Rejection | None = None
        """The rejected template, which a cluster's Deployment has as an annotation."""
        self.builds = {template_hash(stable.build): stable.build}
        self._supervisor = supervisor
        self._dsn = dsn
        self._written: TrafficSplit | None = None
        self._gone: list[ProcessDeployment] = []

    def deploy(self, build: Build) -> None:
        """Deploy another build, as a user does."""
        self.builds[template_hash(build)] = build
        self.stable.build = build
        self.changed = True

    def tick(self, now: float) -> None:
        """Update the Deployments, and the router's servers. `now` is seconds since the epoch."""
        for deployment in self._list_deployments():
            deployment.tick(now)
        self.route()

    def route(self) -> None:
        """Write the split if it differs from the last one."""
        canary = self.canary.endpoints() if self.canary else []
        split = TrafficSplit.from_urls(self.weight or 0, self.stable.endpoints(), canary)
        if split != self._written:
            self.traefik.write(split.weight, sorted(split.stable), sorted(split.canary))
            self._written = split

    @property
    def routed(self) -> bool:
        """Whether Traefik applies the split that was written last; false while it is down."""
        try:
            return self._written is not None and self.traefik.read_split() == self._written
        except TransientError:
            return False

    def scale_canary(self, template: str, replicas: int) -> None:
        """Run a canary of that template with `replicas` instances."""
        if self.canary is None:
            self.canary = ProcessDeployment(
                self._supervisor,
                "auth-canary",
                dsn=self._dsn,
                build=self.builds[template],
                replicas=replicas,
                seed=1000,
            )
        self.canary.replicas = replicas

    def delete_canary(self) -> None:
        """Stop the canary's instances; they disappear during the next ticks."""
        if self.canary is not None:
            self.canary.replicas = 0
            self._gone.append(self.canary)
            self.canary = None

    def targets(self) -> Iterable[ScrapeTarget]:
        """Yield the metrics pages of the router and of every instance."""
        yield ScrapeTarget(self.traefik.metrics_url, {"job": "traefik"})
        for deployment in self._list_deployments():
            for instance in deployment.instances():
                labels = {"job": "auth", "namespace": NAMESPACE, "pod": instance.name}
                yield ScrapeTarget(instance.metrics_url, labels)

    def close(self) -> None:
        """Wait until the instances being removed have stopped."""
        for deployment in self._list_deployments():
            deployment.close()

    def _list_deployments(self) -> list[ProcessDeployment]:
        canary = [self.canary] if self.canary else []
        return [self.stable, *canary, *self._gone]


@dataclass
class LocalReleases:
    """Stores the only release in memory."""

    name: str
    spec: Spec
    status: Status = field(default_factory=Status)
    request: ReleaseRequest | None = None
    _version: int = 1

    def read(self, key: Key) -> ReleaseResource:
        """See ReleaseStore."""
        if key != Key(NAMESPACE, self.name):
            raise NotFoundError(f"CanaryRelease {key.name} does not exist, only {self.name}")
        return ReleaseResource(
            self.name, NAMESPACE, 1, self.spec, self.status, str(self._version), None, self.request
        )

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """See ReleaseStore."""
        if resource.version != str(self._version):
            raise ConflictError(f"the status of {resource.name} changed in between")
        self.status = status
        self._version += 1

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """Do nothing: the demo's release has no finalizer."""


@dataclass
class LocalWorkloads:
    """The Deployments, as the controller reads and changes them."""

    cluster: LocalCluster

    def read(self, _wish: ReleaseResource) -> Workload:
        """See Workloads."""
        stable, canary = self.cluster.stable, self.cluster.canary
        target = TargetDeployment(
            stable.replicas,
            stable.template,
            stable.running,
            stable.held,
            stable.pods(),
            rejection=self.cluster.rejection,
        )
        if canary is None:
            return Workload(target, None)
        return Workload(target, Canary(canary.template, canary.replicas, canary.pods()))

    def apply(self, _wish: ReleaseResource, action: WorkloadAction) -> None:
        """See Workloads; there is no autoscaler here and there are no checks."""
        cluster = self.cluster
        match action:
            case PauseTarget():
                cluster.stable.held = True
            case ResumeTarget() | RestartTarget() | UnmanageTarget():
                cluster.stable.held = False
            case RestoreTemplate(template, roll):
                cluster.stable.held = not roll
                cluster.stable.restore_build(cluster.builds[template])
            case EnsureCanary(template, replicas):
                cluster.scale_canary(template, replicas)
            case DeleteCanary():
                cluster.delete_canary()
            case NoteRejection(rejection):
                cluster.rejection = rejection
            case _:
                pass


@dataclass
class LocalTraffic:
    """Traefik's weighted service."""

    cluster: LocalCluster

    def read(self, _wish: ReleaseResource) -> Route | None:
        """See TrafficRouter."""
        weight = self.cluster.weight
        backends: Mapping[Side, str] = {Side.CANARY: CANARY, Side.STABLE: STABLE}
        return Route(weight or 0, self.cluster.routed, weight is None, None, backends)

    def apply(self, _wish: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter."""
        match action:
            case SetWeight(weight):
                self.cluster.weight = weight
            case RestoreRoute():
                self.cluster.weight = None
        self.cluster.route()


@dataclass
class NoticeCollector:
    """Collects the notices."""

    received: list[Notice] = field(default_factory=list)

    def notify(self, notice: Notice) -> None:
        """See Notifier."""
        self.received.append(notice)
