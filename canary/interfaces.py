"""The interfaces (Protocols of at most four methods) between a reconcile and its surroundings.

`tests/in_memory_world.py` implements them in memory, `canary.demo` with processes on one machine,
and `canary.operator` with the API server. One contract test runs on each.
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
    """Namespace and name of a CanaryRelease."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Workload:
    """Current state of a release's workloads; objects that do not exist are None."""

    target: TargetDeployment | None
    canary: Canary | None
    checks: tuple[CheckStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a release, with everything that a message about it needs."""

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
    """The only source of the time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class ReleaseStore(Protocol):
    """Stores CanaryReleases."""

    def read(self, key: Key) -> ReleaseResource:
        """Return the current release. Raises NotFoundError."""
        ...

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """Write the status by compare-and-swap with `resource.version`. Raises ConflictError."""
        ...

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """Remove canary's finalizer, so that a deletion completes."""
        ...


class Workloads(Protocol):
    """The user's Deployment and the canary's objects."""

    def read(self, resource: ReleaseResource) -> Workload:
        """Return the current state of the workloads."""
        ...

    def apply(self, resource: ReleaseResource, action: WorkloadAction) -> None:
        """Carry out one action, idempotently. Raises ConflictError, TransientError."""
        ...


class TrafficRouter(Protocol):
    """The router that splits the traffic."""

    def read(self, resource: ReleaseResource) -> Route | None:
        """Return the current route; None if it does not exist."""
        ...

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """Write the weight (compare-and-swap), or restore the user's route.

        Raises ConflictError.
        """
        ...


class MetricSource(Protocol):
    """Reads counters and gauges on a grid of times."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """Return each answer by the `key` of its query, at `start, start+step, …, ≤ end` (seconds).

        If the monitoring system is down, slow or returns invalid data the answer is
        `Unavailable(why)`; nothing is raised. A query that succeeds without series gives
        `NoData(why)`.
        """
        ...

    def final_until(self, now: float) -> float:
        """Return the latest time (seconds) whose values are final.

        Later scrapes may be incomplete.
        """
        ...


class ReleaseMetrics(Protocol):
    """The metric source of one release. Every MetricSource is one; this one never blocks."""

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer] | PendingAnswer:
        """See MetricSource; Pending until the monitoring system has answered."""
        ...

    def final_until(self, now: float) -> float:
        """See MetricSource."""
        ...


class Notifier(Protocol):
    """Notifies people; it must return at once, so that it never delays a rollback."""

    def notify(self, notice: Notice) -> None:
        """Queue the notice."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a reconcile reads and writes."""

    clock: Clock
    releases: ReleaseStore
    workloads: Workloads
    traffic: TrafficRouter
    metrics: ReleaseMetrics
    notifier: Notifier
