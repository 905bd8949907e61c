"""The plan of one reconcile pass as data: ordered, idempotent actions.

An action is refused if its object has changed since the snapshot.
"""

from dataclasses import dataclass

from canary.api import Status
from canary.core.snapshot import Rejection
from canary.errors import TransientError


@dataclass(frozen=True, slots=True)
class PauseTarget:
    """Pause the target, so that a new template does not roll out.

    `stable` is the running template.
    """

    stable: str


@dataclass(frozen=True, slots=True)
class RestoreTemplate:
    """Restore the vetted template, and pause the target in the same write if it is not paused.

    With `roll` the same write resumes the target, which then rolls back by its own strategy.
    """

    template: str
    roll: bool = False


@dataclass(frozen=True, slots=True)
class ResumeTarget:
    """Resume the target, so that it rolls out `template` by its own strategy."""

    template: str


@dataclass(frozen=True, slots=True)
class RestartTarget:
    """Restart the pods of the vetted `template`, as `kubectl rollout restart` does."""

    template: str
    at: float
    """Seconds since the epoch, as the restart annotation has it."""


@dataclass(frozen=True, slots=True)
class UnmanageTarget:
    """Resume the target and remove what canary wrote into it."""


@dataclass(frozen=True, slots=True)
class EnsureCanary:
    """Create the canary of `template`, or scale it, to this many replicas."""

    template: str
    replicas: int


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Delete the canary's objects."""


@dataclass(frozen=True, slots=True)
class PinMinReplicas:
    """Raise the autoscaler's minimum to this many replicas during a release."""

    replicas: int


@dataclass(frozen=True, slots=True)
class UnpinMinReplicas:
    """Restore the autoscaler's minimum that the user wrote."""


@dataclass(frozen=True, slots=True)
class RunChecks:
    """Start the checks of `template` that are due."""

    template: str


@dataclass(frozen=True, slots=True)
class NoteRejection:
    """Record the rejected template on the target; None removes the record."""

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
    """Set the canary's weight in the route (percent)."""

    weight: int


@dataclass(frozen=True, slots=True)
class RestoreRoute:
    """Restore the route that the user wrote."""


TrafficAction = SetWeight | RestoreRoute


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Remove the finalizer, so that a deletion completes without the operator."""


Action = WorkloadAction | TrafficAction | RemoveFinalizer


@dataclass(frozen=True, slots=True)
class Plan:
    """The next status, the actions that lead to it in order, and when to reconcile again."""

    status: Status
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    """Seconds until the next pass; None: only after a change."""
    wait_at_most: float | None = None
    """The plan waits only for a sample or a change of an object: where both are announced, this
    limit (seconds) replaces `requeue_after`. It ends at the next deadline."""


REFUSED_PREFIX = "Refused, retrying: "
"""Prefix of the status message if an action of the plan was refused."""


@dataclass(frozen=True, slots=True)
class ActResult:
    """The actions that were carried out; `refused` is the error that stopped the rest."""

    actions: tuple[Action, ...] = ()
    refused: TransientError | None = None
