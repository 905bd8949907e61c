"""Applies commands of people, each once; a command that does not apply changes nothing."""

from canary.api import Intent, Override, Pause, Reason, Skip, Status
from canary.core.snapshot import ReleaseRequest, Snapshot, Verb

MAX_STEPS = 20
"""Maximum number of steps of a spec; approving this step approves all of them."""


def apply_request(snap: Snapshot) -> tuple[Status, ReleaseRequest | None]:
    """Return the status with the effect of the command, and the command for the rules."""
    status, request = snap.resource.status, snap.resource.request
    if request is None or request.id == status.handled_request:
        return status, None
    status = status.model_copy(update={"handled_request": request.id})
    return _apply_effect(status, request, snap.now), request


def build_override(request: ReleaseRequest | None, now: float) -> Override | None:
    """Return what a promote command skips, as status and history store it."""
    if request is None or request.verb is not Verb.PROMOTE or request.skip is None:
        return None
    return Override(skip=request.skip, reason=request.reason, by=request.by, at=now)


def _apply_effect(status: Status, request: ReleaseRequest, now: float) -> Status:
    release, verb = status.release, request.verb
    if verb is Verb.RETRY and status.intent is Intent.REST:
        return status.model_copy(update={"rejected_hash": None, "reason": Reason.AT_REST})
    if release is None or status.intent is not Intent.ADVANCE:
        return status
    changes: dict[str, object] = {}
    match verb:
        case Verb.PAUSE:
            changes = {"pause": Pause(reason=Reason.PAUSED_BY_PERSON, since=now)}
        case Verb.RESUME:
            changes = {"pause": None, "resumed_at": now, "rewrites": 0}
        case Verb.PROMOTE:
            resumed = {"pause": None, "resumed_at": now} if release.pause else {}
            override = build_override(request, now) or release.override
            changes = {"approved_step": status.step, "override": override, **resumed}
            if override is not None and override.skip is Skip.STEPS:
                changes["approved_step"] = MAX_STEPS
        case Verb.ABORT | Verb.RETRY | Verb.UNDO | Verb.RESTART:
            changes = {}
    return status.model_copy(update={"release": release.model_copy(update=changes)})
