"""The Protocols, of at most four methods, through which the reconcile path uses the world.

`tests/in_memory_world.py` implements them in memory, `canary.demo` over processes on one machine,
and a cluster implements them over the API server. One contract test runs on each.
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
    """The change that a notice is about, with all that its message needs."""

    spec: Spec
    before: Status
    after: Status
    pods: tuple[str, ...] = ()
    """Names of the pods that run the new version."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A change of a release that a person should know, with its reason."""

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
        """Removes our finalizer, so that a deletion completes."""
        ...


class Workloads(Protocol):
    """The user's Deployment and our canary beside it."""

    def read(self, resource: ReleaseResource) -> Workload:
        """The present state of the workloads."""
        ...

    def apply(self, resource: ReleaseResource, action: WorkloadAction) -> None:
        """Carries one action out, idempotently. Raises ConflictError, TransientError."""
        ...


class TrafficRouter(Protocol):
    """The router that splits the traffic."""

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

        Never raises for a monitoring system that is down, slow, partial or wrong: that is
        `Unavailable(why)`; a query that succeeds without a series is `NoData(why)`.
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
    """Notifies people; it must return at once, so that it never delays a rollback."""

    def notify(self, notice: Notice) -> None:
        """Queues the notice."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """The world that one pass needs."""

    clock: Clock
    releases: ReleaseStore
    workloads: Workloads
    traffic: TrafficRouter
    metrics: ReleaseMetrics
    notifier: Notifier
