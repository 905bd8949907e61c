"""What people ask for: each request is taken once, and what makes no sense changes nothing."""

from canary.api import Intent, Pause, Reason, Status
from canary.core.snapshot import Snapshot, Verb


def take_request(snap: Snapshot) -> tuple[Status, Verb | None]:
    """The status with the request's effect in it, and the verb where a rule has to act on it."""
    status, request = snap.wish.status, snap.wish.request
    if request is None or request.id == status.handled_request:
        return status, None
    status = status.model_copy(update={"handled_request": request.id})
    return _with_effect(status, request.verb, snap.now), request.verb


def _with_effect(status: Status, verb: Verb, now: float) -> Status:
    release = status.release
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
            changes = {"approved_step": status.step, **resumed}
        case Verb.ABORT | Verb.RETRY:
            changes = {}
    return status.model_copy(update={"release": release.model_copy(update=changes)})
