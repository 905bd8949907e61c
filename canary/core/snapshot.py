"""Everything one pass knows of the world, frozen: `observe` makes it, nothing else reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.api import CheckStatus, Reason, Skip, Spec, Status
from canary.core.increments import Side, SideOf, Tick
from canary.core.rounds import Rounds
from canary.core.series import MetricAnswer, NoData, Unavailable


class PodFailure(StrEnum):
    """Why a pod does not serve, where the reason is known."""

    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_IMAGE = "NoImage"
    """The image cannot be pulled; a registry may come back, so waited for like readiness."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One instance of a version."""

    name: str
    ready: bool
    ready_since: float | None = None
    """Seconds since the epoch; None while it was never ready."""
    restarts: int = 0
    trouble: PodFailure | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no release can be taken of a target that is there."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A template that was rolled back, as an annotation of the Deployment keeps it."""

    template: str
    """Our hash of it."""
    reason: Reason
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class TargetDeployment:
    """The user's Deployment."""

    replicas: int
    template: str
    """Our hash of the template that the user wants now."""
    running: str | None
    """Our hash of the template that all pods run; None in the middle of a roll. It is not the
    wanted one where a changed template is paused."""
    held: bool
    """A changed template does not roll: paused, or paused by the API server as it changes."""
    pods: tuple[Pod, ...] = ()
    obstacle: Obstacle | None = None
    restart_of: str | None = None
    """Our hash of the vetted template, where the wanted one differs from it only by the annotation
    of a restart."""
    floor: int | None = None
    """The autoscaler's minimum, where it can be raised; else None."""
    scaled_by: str | None = None
    """Who owns its autoscaler and writes the floor back, such as `ScaledObject auth`; else None."""
    paused: bool = False
    """It is paused now, which is something to put back."""
    stable_lost: bool = False
    """It wants another template than the stable one, and no ReplicaSet keeps that any more."""
    keeps_history: bool = True
    """After a roll a ReplicaSet keeps the template before: `revisionHistoryLimit` is not 0."""
    rejection: Rejection | None = None
    """What the Deployment remembers as rejected; also after its CanaryRelease was deleted."""
    rejected: frozenset[str] = frozenset()
    """Our hashes of that template and of its restarts, among those that are wanted or have pods."""
    beside: str | None = None
    """Our hash of the only other template with ready pods, beside the wanted one; None where there
    is none, or more than one."""


@dataclass(frozen=True, slots=True)
class Canary:
    """Our Deployment `NAME-canary` (with its Service)."""

    template: str
    replicas: int
    pods: tuple[Pod, ...] = ()
    not_created: str = ""
    """Why pods are not created or do not start, in the words of the API server; else empty."""
    follows_service: bool = True
    """Its Service has the ports that the user's Service has now."""
    selected_by: tuple[str, ...] = ()
    """Names of other Services than the canary's own that select its pods."""

    @property
    def ready(self) -> int:
        """How many pods are ready."""
        return sum(pod.ready for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Route:
    """Who gets the traffic, as the router shows it."""

    weight: int
    """Percent of traffic to the canary, as the route says it."""
    confirmed: bool
    """The router has taken the route over as it is written."""
    at_rest: bool
    """Nothing of ours is in the route: it is what the user wrote."""
    writer: str | None = None
    """Who wrote the weight last, where that is known and it was not us."""
    backends: Mapping[Side, str] = field(default_factory=dict)
    """What the router's own metrics call each side."""
    refused: str | None = None
    """Why the router refuses the route as it is now, in a sentence; None: it does not."""
    lowest: int | None = None
    """Percent on the route that gives the canary the least; None: there is one route only."""
    detail: str = ""
    """With several routes: what each of them has, while they differ or wait; else empty."""

    @property
    def least(self) -> int:
        """Percent that every route gives the canary."""
        return self.weight if self.lowest is None else self.lowest


def carried_weight(ready: int, replicas: int) -> int:
    """The largest weight (percent) that `ready` pods carry of what `replicas` pods carry.

    1 of 4 pods carries 25 %; 3 of 7 carry 42 %.
    """
    return min(100, 100 * ready // replicas) if replicas > 0 else 100 * (ready > 0)


class Verb(StrEnum):
    """What a person can ask of a release."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"
    UNDO = "undo"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What a person asks for; `id` tells it from the same request made before."""

    verb: Verb
    id: str
    skip: Skip | None = None
    """With promote: what is skipped."""
    reason: str = ""
    """Why, in the person's words."""
    by: str = ""
    """Who asked, as the request names them."""
    to: str | None = None
    """With undo: our hash of the template to go back to; None: the one that was stable last."""


@dataclass(frozen=True, slots=True)
class ReleaseResource:
    """The release as its store has it."""

    name: str
    namespace: str
    generation: int
    spec: Spec
    status: Status
    version: str
    """For compare-and-swap of the status (resourceVersion)."""
    deleting_since: float | None = None
    request: ReleaseRequest | None = None
    finalizer: bool = False
    """Our finalizer is on it: its deletion waits until everything is put back."""


@dataclass(frozen=True, slots=True)
class RatioSamples:
    """Requests and bad ones per round of scrapes, ascending; or why there are none."""

    ticks: tuple[Tick, ...] | NoData | Unavailable
    bound: str = ""
    """The histogram's bound above which a request is slow: `500 ms`; empty for other sources."""


@dataclass(frozen=True, slots=True)
class PoolSamples:
    """A pool's gauges and counters at the ends of rounds; None where there are no such series.

    Counters are what was counted since the range began; they never fall.
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
    """All metrics of one release, round by round; `since` is up to where the judge has judged."""

    rounds: Rounds
    since: float
    by_metric: Mapping[str, RatioSamples | PoolSamples | MetricAnswer]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The world at one moment; absent things are None."""

    now: float
    resource: ReleaseResource
    target: TargetDeployment | None
    canary: Canary | None
    route: Route | None
    checks: tuple[CheckStatus, ...] = ()
    samples: Samples | None = None
    """What the metrics say since the last pass; None where there is nothing to judge."""
