"""Rules that decide whether a gate keeps waiting or has a result. Pure."""

from collections.abc import Callable
from typing import Final

from canary.api import Intent, Reason, Result
from canary.errors import ExitCode
from canary.gate.tracking import (
    FinishedState,
    GateOptions,
    GateState,
    Observation,
    PendingState,
    RuleInput,
    TrackedRelease,
)

GRACE_SECONDS: Final = 30.0
"""Seconds for which a release may be stalled: objects applied together arrive one by one."""


def evaluate_rules(
    observed: Observation, tracked: TrackedRelease, options: GateOptions
) -> GateState:
    """Return the state from the first rule that applies."""
    given = RuleInput(observed, tracked, options)
    for rule in RULES:
        found = rule(given)
        if found is not None:
            return found
    raise LookupError("the last rule always answers")


def time_out(
    observed: Observation, tracked: TrackedRelease, options: GateOptions, waited: str
) -> FinishedState:
    """Return the result at the time-out. A release that is being rolled back has failed."""
    given = RuleInput(observed, tracked, options)
    release = given.status.release
    if given.own and release is not None and given.status.intent is Intent.ROLL_BACK:
        reason = release.failed or given.status.reason
        if reason is not Reason.TEMPLATE_CHANGED:
            text = f"is being rolled back: {_format_reason(reason, release.message)}"
            return FinishedState(ExitCode.FAILED, text, reason)
    found = evaluate_rules(observed, tracked, options)
    now = str(found) if isinstance(found, PendingState) else found.headline
    return FinishedState(
        ExitCode.TIMED_OUT, f"has not ended within {waited}: {now}", given.status.reason
    )


def _release_deleted(given: RuleInput) -> GateState | None:
    if given.observed.resource.deleting_since is None:
        return None
    return FinishedState(
        ExitCode.NOT_FOUND,
        "the CanaryRelease is being deleted, so no release can end",
        Reason.DELETED,
    )


def _no_target(given: RuleInput) -> GateState | None:
    if given.observed.template is not None:
        return None
    name = given.observed.resource.spec.target.name
    return FinishedState(
        ExitCode.NOT_FOUND, f"Deployment {name} does not exist", Reason.TARGET_NOT_FOUND
    )


def _not_tracked_yet(given: RuleInput) -> GateState | None:
    if given.tracked.template is not None:
        return None
    if given.options.image is not None and given.options.image not in given.observed.images:
        return PendingState(f"the Deployment does not have {given.options.image} yet")
    return PendingState("nothing to release yet; waiting for the next template")


def _in_progress(given: RuleInput) -> GateState | None:
    status = given.status
    release = status.release
    if not given.own or release is None:
        return None
    if status.intent is Intent.BAKE:
        return _bake_in_progress(given)
    if status.intent is Intent.ADVANCE and not given.observed.asked:
        pause = release.pause.reason if release.pause else None
        reason = status.reason if status.reason is Reason.APPROVAL_NEEDED else pause
        if reason is not None:
            return _paused_result(given, reason)
    return _describe_progress(given)


def _bake_in_progress(given: RuleInput) -> GateState:
    if given.options.bake:
        return PendingState("promoted; waiting for the end of the bake", given.status.message)
    return _promoted_result(given, "promoted; the bake continues (wait for it with --bake)")


def _in_history(given: RuleInput) -> GateState | None:
    entry = given.entry
    if entry is None or entry.ended_at in given.tracked.known:
        return None
    why = _format_reason(entry.reason, entry.message)
    match entry.result:
        case Result.PROMOTED:
            # A version that was stable before, or an analysis that a person skipped: why and who.
            text = f"promoted: {entry.message}" if entry.message else "promoted"
            return _promoted_result(given, text, entry.reason)
        case Result.ROLLED_BACK:
            return FinishedState(ExitCode.FAILED, f"rolled back: {why}", entry.reason, entry)
        case Result.SUPERSEDED if given.observed.template == given.tracked.template:
            return None  # The other release has ended, and this one starts again.
        case Result.SUPERSEDED:
            text = "superseded by another template before its analysis ended"
            return FinishedState(ExitCode.INCONCLUSIVE, text, entry.reason, entry)


def _already_stable(given: RuleInput) -> GateState | None:
    status = given.status
    if given.tracked.template != status.stable_hash:
        return None
    if status.release is not None:
        return PendingState(f"another release ({status.release.template}) is being rolled back")
    past = status.reason is Reason.ROLLED_OUT_WITHOUT_CANARY
    if past and given.tracked.fresh:
        text = "rolled out without canary: it runs on all pods and was not analyzed"
        return FinishedState(ExitCode.INCONCLUSIVE, text, status.reason)
    note = " (it was rolled out without canary)" if past else ""
    reason = status.reason if past else Reason.AT_REST
    return _promoted_result(given, f"runs everywhere already{note}: nothing to release", reason)


def _already_rejected(given: RuleInput) -> GateState | None:
    if given.tracked.template != given.status.rejected_hash:
        return None
    if given.observed.asked:
        return PendingState("a command waits for the operator", unseen=True)
    entry = given.entry
    if entry is None:
        return FinishedState(
            ExitCode.FAILED, "this template was rolled back before", Reason.REJECTED
        )
    text = f"this template was rolled back before: {_format_reason(entry.reason, entry.message)}"
    return FinishedState(ExitCode.FAILED, text, entry.reason, entry)


def _template_replaced(given: RuleInput) -> GateState | None:
    if given.observed.template == given.tracked.template:
        return None
    status = given.status
    if status.reason is Reason.UNPAUSED_BY_HAND:
        return FinishedState(
            ExitCode.FAILED,
            f"template restored: {_format_reason(status.reason, '')}",
            status.reason,
        )
    text = "superseded: the Deployment has another template, and this one was not released"
    return FinishedState(ExitCode.INCONCLUSIVE, text, Reason.TEMPLATE_CHANGED)


def _release_suspended(given: RuleInput) -> GateState | None:
    if not given.observed.resource.spec.suspend or given.status.release is not None:
        return None
    return _paused_result(given, Reason.SUSPENDED)


def _release_stalled(given: RuleInput) -> GateState | None:
    status = given.status
    stale = status.observed_generation < given.observed.resource.generation
    if stale or status.release is not None or given.observed.quiet < GRACE_SECONDS:
        return None
    if status.reason is Reason.TARGET_SCALED_TO_ZERO:
        text = f"cannot be analyzed: {_format_reason(status.reason, status.message)}"
        return FinishedState(ExitCode.INCONCLUSIVE, text, status.reason)
    if not status.reason.info.stalls:
        return None
    text = f"cannot start: {_format_reason(status.reason, status.message)}"
    return FinishedState(ExitCode.ERROR, text, status.reason)


def _not_handled_yet(given: RuleInput) -> GateState:
    status = given.status
    if status.stable_hash is None:
        return PendingState(f"not managed yet: {status.reason}", status.message, unseen=True)
    if status.release is not None:
        return PendingState(
            f"waiting for the end of the previous release ({status.release.template})"
        )
    obstacle = status.reason.info.stalls or status.reason is Reason.TARGET_SCALED_TO_ZERO
    text = "the operator has not started this release yet"
    if obstacle:
        return PendingState(f"{text}: {status.reason}", status.message)
    return PendingState(text, unseen=True)


def _promoted_result(
    given: RuleInput, headline: str, reason: Reason = Reason.PROMOTED
) -> FinishedState:
    return FinishedState(ExitCode.OK, headline, reason, given.entry)


_PAUSE_TEXTS: Final = {
    Reason.APPROVAL_NEEDED: "waits for approval",
    Reason.SUSPENDED: "is suspended",
}


def _paused_result(given: RuleInput, reason: Reason) -> GateState:
    status = given.status
    text = f"{_PAUSE_TEXTS.get(reason, 'is paused')} at {status.weight} %: {reason}"
    message = "" if reason is Reason.SUSPENDED else status.message
    if given.options.pause_ok:
        return PendingState(text, message)
    code = ExitCode.INCONCLUSIVE if reason.info.inconclusive else ExitCode.PAUSED
    return FinishedState(code, f"{text}. {message}" if message else text, reason)


def _describe_progress(given: RuleInput) -> PendingState:
    status = given.status
    steps = len(given.observed.resource.spec.steps)
    step = f", step {min(status.step + 1, steps)} of {steps}"
    where = step if status.intent is Intent.ADVANCE else ""
    text = f"{status.phase} at {status.weight} %{where}: {status.reason}"
    return PendingState(text, status.message)


def _format_reason(reason: Reason, message: str) -> str:
    return f"{reason}. {message}" if message else str(reason)


GateRule = Callable[[RuleInput], GateState | None]
RULES: Final[tuple[GateRule, ...]] = (
    _release_deleted,
    _no_target,
    _not_tracked_yet,
    _in_progress,
    _in_history,
    _already_stable,
    _already_rejected,
    _template_replaced,
    _release_suspended,
    _release_stalled,
    _not_handled_yet,
)
"""In order of priority."""
