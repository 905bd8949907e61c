"""Derives phase and step from the status, for people; no decision depends on them."""

from canary.api import Intent, Phase, Reason, ReasonKind, Status


def phase_of(status: Status) -> Phase:
    """Return the phase of the release."""
    if status.reason is Reason.DELETED:
        return Phase.TERMINATING
    match status.intent:
        case Intent.REST:
            return _idle_phase(status)
        case Intent.ADVANCE:
            return _active_phase(status)
        case Intent.PROMOTE:
            return Phase.PROMOTING
        case Intent.BAKE:
            return Phase.BAKING
        case Intent.ROLL_BACK:
            return Phase.ROLLING_BACK


def step_of(status: Status, steps: int) -> str:
    """Return `2/3` while a release goes through its `steps`; else an empty text."""
    if status.intent not in {Intent.ADVANCE, Intent.PROMOTE}:
        return ""
    return f"{min(status.step + 1, steps)}/{steps}"


def _idle_phase(status: Status) -> Phase:
    if status.stable_hash is None and status.reason is not Reason.REJECTED:
        return Phase.PENDING
    reason = status.reason.info
    return Phase.READY if reason.kind is ReasonKind.IDLE or reason.stalls else Phase.ROLLED_BACK


def _active_phase(status: Status) -> Phase:
    if status.release is not None and status.release.pause is not None:
        return Phase.PAUSED
    if status.reason is Reason.APPROVAL_NEEDED:
        return Phase.WAITING_FOR_APPROVAL
    if status.reason is Reason.CHECKS_RUNNING:
        return Phase.CHECKING
    if status.weight == 0 and status.reason in {Reason.STARTED, Reason.CANARY_NOT_READY}:
        return Phase.PREPARING
    return Phase.PROGRESSING
