"""What to do next, as data: ordered, idempotent actions, each refused if the world moved."""

from dataclasses import dataclass

from canary.api import Status
from canary.core.snapshot import Rejection
from canary.errors import TransientError


@dataclass(frozen=True, slots=True)
class PauseTarget:
    """Keep the target from rolling a template that nobody vetted; `stable` is what runs now."""

    stable: str


@dataclass(frozen=True, slots=True)
class RestoreTemplate:
    """Put the vetted template back while the target is held, or hold it in the same write.

    `roll` un-holds it in that write: the target then rolls back by its own strategy.
    """

    template: str
    roll: bool = False


@dataclass(frozen=True, slots=True)
class ResumeTarget:
    """Un-hold the target so that it rolls to `template` by its own strategy."""

    template: str


@dataclass(frozen=True, slots=True)
class RestartTarget:
    """Restart the pods of the vetted `template`, as `kubectl rollout restart` does."""

    template: str
    at: float
    """Seconds since the epoch: what the annotation of the restart says."""


@dataclass(frozen=True, slots=True)
class UnmanageTarget:
    """Un-hold the target and forget that it was ours."""


@dataclass(frozen=True, slots=True)
class EnsureCanary:
    """The canary of `template` exists with this many replicas."""

    template: str
    replicas: int


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """The canary's objects are gone."""


@dataclass(frozen=True, slots=True)
class PinMinReplicas:
    """While a release runs, no autoscaler takes stable below this many replicas."""

    replicas: int


@dataclass(frozen=True, slots=True)
class UnpinMinReplicas:
    """The autoscaler is what the user wrote."""


@dataclass(frozen=True, slots=True)
class RunChecks:
    """The checks that are due have been started for `template`."""

    template: str


@dataclass(frozen=True, slots=True)
class NoteRejection:
    """The target remembers which template was rejected; None: that none is any more."""

    rejection: Rejection | None


WorkloadAction = (
    PauseTarget
    | RestoreTemplate
    | ResumeTarget
    | RestartTarget
    | UnmanageTarget
    | EnsureCanary
    | DeleteCanary
    | PinMinReplicas
    | UnpinMinReplicas
    | RunChecks
    | NoteRejection
)


@dataclass(frozen=True, slots=True)
class SetWeight:
    """The route gives the canary this share (percent)."""

    weight: int


@dataclass(frozen=True, slots=True)
class RestoreRoute:
    """The route is what the user wrote."""


TrafficAction = SetWeight | RestoreRoute


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """The finalizer is removed: a deletion may go on, and at rest waits for nobody."""


Action = WorkloadAction | TrafficAction | RemoveFinalizer


@dataclass(frozen=True, slots=True)
class Plan:
    """The next status, the actions that lead there in order, and when to look again."""

    status: Status
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    """Seconds; None: only when something changes."""
    sample_within: float | None = None
    """Only the next sample is waited for. A metric source that knows when that is due is waited
    for instead of `requeue_after`, but no longer than this (seconds)."""


REFUSED_PREFIX = "Refused, and tried again: "
"""So begins the message of a status whose plan could not be carried out."""


@dataclass(frozen=True, slots=True)
class ActResult:
    """What of a plan was carried out; `refused` says why the rest was not."""

    actions: tuple[Action, ...] = ()
    refused: TransientError | None = None
