"""The frozen snapshot of a release and its objects for one reconcile; only `observe` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.api import CheckStatus, Reason, Skip, Spec, Status
from canary.core.increments import Side, SideOf, Tick
from canary.core.rounds import Rounds
from canary.core.series import MetricAnswer, NoData, Unavailable


class PodFailure(StrEnum):
    """A known reason why a pod is not ready."""

    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_IMAGE = "NoImage"
    """The image cannot be pulled. The registry may recover, so the release waits."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of one version."""

    name: str
    ready: bool
    ready_since: float | None = None
    """Seconds since the epoch; None if it was never ready."""
    restarts: int = 0
    trouble: PodFailure | None = None
    lost_ready_at: float | None = None
    """When an unready pod became unready (seconds since the epoch); None if it was never ready, or
    if the time is unknown."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no release of an existing target can start."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A template that was rolled back, as recorded in an annotation of the Deployment."""

    template: str
    """Hash of the template."""
    reason: Reason
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class TargetDeployment:
    """The state of the user's Deployment."""

    replicas: int
    template: str
    """Hash of the template in the Deployment's spec."""
    running: str | None
    """Hash of the template that all pods run; None during a rollout. It differs from `template`
    while a changed template is paused."""
    held: bool
    """Whether a changed template does not roll out: the Deployment is paused, or an admission
    policy pauses it on a change."""
    pods: tuple[Pod, ...] = ()
    obstacle: Obstacle | None = None
    restart_of: str | None = None
    """Hash of the vetted template, if the current one differs only by the restart annotation."""
    floor: int | None = None
    """Minimum of the autoscaler; None if there is none that canary may raise."""
    scaled_by: str | None = None
    """Owner that resets the autoscaler's minimum, such as `ScaledObject auth`; or None."""
    paused: bool = False
    """Whether the Deployment is paused, so that a deletion must resume it."""
    stable_lost: bool = False
    """Whether another template is set and no ReplicaSet has the stable one any more."""
    keeps_history: bool = True
    """Whether the Deployment keeps the previous ReplicaSet: `revisionHistoryLimit` is not 0."""
    rejection: Rejection | None = None
    """The rejected template recorded on the Deployment, which outlives its CanaryRelease."""
    rejected: frozenset[str] = frozenset()
    """Hashes of the rejected template and of its restarts, among those in use."""
    other_ready: str | None = None
    """Hash of the only other template with ready pods; None if there is none, or more than one."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The state of the Deployment `NAME-canary` and its Service."""

    template: str
    replicas: int
    pods: tuple[Pod, ...] = ()
    not_created: str = ""
    """Message of the API server about pods that are not created or do not start; empty if none."""
    follows_service: bool = True
    """Whether the canary's Service has the same ports as the user's Service."""
    selected_by: tuple[str, ...] = ()
    """Names of other Services that select the canary's pods."""

    @property
    def ready(self) -> int:
        """Number of ready pods."""
        return sum(pod.ready for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Route:
    """The state of the route, as the router reports it."""

    weight: int
    """The canary's weight in the route (percent)."""
    confirmed: bool
    """Whether the router has confirmed the route as written."""
    at_rest: bool
    """Whether the route is as the user wrote it, without the canary."""
    writer: str | None = None
    """Last writer of the weight, if known and not canary."""
    backends: Mapping[Side, str] = field(default_factory=dict)
    """Name of each side in the router's own metrics."""
    refused: str | None = None
    """Message about why the router refuses the route; None if it does not."""
    lowest: int | None = None
    """Lowest weight among several routes (percent); None with one route."""
    detail: str = ""
    """Weight of each of several routes while they differ or are not confirmed; otherwise empty."""

    @property
    def least(self) -> int:
        """Smallest weight that any route gives the canary (percent)."""
        return self.weight if self.lowest is None else self.lowest


def carried_weight(ready: int, replicas: int) -> int:
    """Return the largest weight (percent) for which `ready` pods suffice if 100 % needs `replicas`.

    1 of 4 pods suffices for 25 %, 3 of 7 for 42 %.
    """
    return min(100, 100 * ready // replicas) if replicas > 0 else 100 * (ready > 0)


class Verb(StrEnum):
    """A command for a release."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"
    UNDO = "undo"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A person's request; `id` distinguishes it from an earlier, equal one."""

    verb: Verb
    id: str
    skip: Skip | None = None
    """With promote: what to skip."""
    reason: str = ""
    """Reason given by the person."""
    by: str = ""
    """Name of the person, as in the request."""
    to: str | None = None
    """With undo: hash of the template to return to; None: the previous stable one."""


@dataclass(frozen=True, slots=True)
class ReleaseResource:
    """The CanaryRelease as stored."""

    name: str
    namespace: str
    generation: int
    spec: Spec
    status: Status
    version: str
    """resourceVersion, for compare-and-swap of the status."""
    deleting_since: float | None = None
    request: ReleaseRequest | None = None
    finalizer: bool = False
    """The resource has our finalizer: its deletion waits until everything is restored."""
    uid: str = ""
    """Distinguishes it from earlier resources with this name."""


@dataclass(frozen=True, slots=True)
class RatioSamples:
    """Requests and bad requests per round of scrapes, in ascending order; or why there are none."""

    ticks: tuple[Tick, ...] | NoData | Unavailable
    bound: str = ""
    """The histogram's bound above which a request is slow: `500 ms`; empty for other sources."""


@dataclass(frozen=True, slots=True)
class PoolSamples:
    """A pool's gauges and counters at the end of each round; None: not exported.

    Counters start at zero at the start of the range and never fall.
    """

    in_use: MetricAnswer
    maximum: MetricAnswer | float
    waiting: MetricAnswer | None
    timeouts: MetricAnswer | None
    hold: MetricAnswer | None
    hold_unit: float
    label: str
    side_of: SideOf


@dataclass(frozen=True, slots=True)
class Samples:
    """All metrics of one release by round; those up to `since` (seconds) were analyzed before."""

    rounds: Rounds
    since: float
    by_metric: Mapping[str, RatioSamples | PoolSamples | MetricAnswer]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A release and its objects at one moment; missing objects are None."""

    now: float
    resource: ReleaseResource
    target: TargetDeployment | None
    canary: Canary | None
    route: Route | None
    checks: tuple[CheckStatus, ...] = ()
    samples: Samples | None = None
    """Samples since the last reconcile; None if there is nothing to analyze."""
