"""The outside world as Protocols of at most four methods: the reconcile path knows nothing else.

`tests/world.py` implements them in memory, `canary.demo` over processes on one machine, and a
cluster implements them over the API server. One contract test runs on each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from canary.api import CheckStatus, Phase, Reason, Spec, Status
from canary.core.plan import TrafficAction, WorkloadAction
from canary.core.series import MetricAnswer, PendingAnswer, SeriesQuery
from canary.core.snapshot import Canary, ReleaseResource, Route, TargetDeployment


@dataclass(frozen=True, slots=True)
class Key:
    """Names one CanaryRelease."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What the workloads of one release look like now; absent objects are None."""

    target: TargetDeployment | None
    canary: Canary | None
    checks: tuple[CheckStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a notice is about, so that it can be explained without asking anybody again."""

    spec: Spec
    before: Status
    after: Status
    pods: tuple[str, ...] = ()
    """Names of the pods that run the new version."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know: the release moved on, or stopped, and why."""

    key: Key
    at: float
    """Seconds since the epoch."""
    phase: Phase
    reason: Reason
    message: str
    weight: int
    change: Change | None = None


class Clock(Protocol):
    """The only place where time comes from."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class ReleaseStore(Protocol):
    """Where CanaryReleases live."""

    def read(self, key: Key) -> ReleaseResource:
        """The release as it is now. Raises NotFoundError."""
        ...

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """Compare-and-swap against `resource.version`. Raises ConflictError."""
        ...

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """Removes our finalizer: the deletion may go through."""
        ...


class Workloads(Protocol):
    """The user's Deployment and our canary beside it."""

    def read(self, resource: ReleaseResource) -> Workload:
        """What is there now."""
        ...

    def apply(self, resource: ReleaseResource, action: WorkloadAction) -> None:
        """Carries one action out; done already is done. Raises ConflictError, TransientError."""
        ...


class TrafficRouter(Protocol):
    """Who splits the traffic."""

    def read(self, resource: ReleaseResource) -> Route | None:
        """The route as the router has it now; None where there is none."""
        ...

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """Writes the weight (compare-and-swap), or what the user wrote. Raises ConflictError."""
        ...


class MetricSource(Protocol):
    """Reads counters and gauges on a grid of times."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """Answers for each query, by its `key`, at `start, start+step, …, ≤ end` (seconds).

        Never raises for a monitoring system that is down, slow, partial or wrong: that is the
        value `Unavailable(why)`; a query that works and finds nothing is `NoData(why)`.
        """
        ...

    def settled(self, now: float) -> float:
        """Latest time (seconds) whose values no longer change: later scrapes may still come in."""
        ...


class ReleaseMetrics(Protocol):
    """The metric source of one release. Every MetricSource is one; this one never waits."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer] | PendingAnswer:
        """See MetricSource; Pending while the monitoring system has not answered."""
        ...

    def settled(self, now: float) -> float:
        """See MetricSource."""
        ...


class Notifier(Protocol):
    """Tells people; never on the way of a rollback, so it must return at once."""

    def notify(self, notice: Notice) -> None:
        """Queues the notice."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """All of the outside that one pass needs."""

    clock: Clock
    releases: ReleaseStore
    workloads: Workloads
    traffic: TrafficRouter
    metrics: ReleaseMetrics
    notifier: Notifier
