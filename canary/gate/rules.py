"""Where the release that a pipeline waits for stands: go on waiting, or it ended so. Pure."""

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
"""Seconds for which an obstacle may last: objects that are applied together come one by one."""


def evaluate_rules(sight: Observation, quest: TrackedRelease, ask: GateOptions) -> GateState:
    """The answer of the first rule that has one."""
    view = RuleInput(sight, quest, ask)
    for rule in RULES:
        found = rule(view)
        if found is not None:
            return found
    raise LookupError("the last rule always answers")


def time_out(
    sight: Observation, quest: TrackedRelease, ask: GateOptions, waited: str
) -> FinishedState:
    """The time is up; a release that is on its way back has failed all the same."""
    view = RuleInput(sight, quest, ask)
    release = view.status.release
    if view.own and release is not None and view.status.intent is Intent.ROLL_BACK:
        reason = release.failed or view.status.reason
        if reason is not Reason.TEMPLATE_CHANGED:
            text = f"is being rolled back: {_format_reason(reason, release.message)}"
            return FinishedState(ExitCode.FAILED, text, reason)
    found = evaluate_rules(sight, quest, ask)
    now = str(found) if isinstance(found, PendingState) else found.headline
    return FinishedState(
        ExitCode.TIMED_OUT, f"has not ended within {waited}: {now}", view.status.reason
    )


def _release_deleted(view: RuleInput) -> GateState | None:
    if view.sight.resource.deleting_since is None:
        return None
    return FinishedState(
        ExitCode.NOT_FOUND, "is being deleted, so no release can end", Reason.DELETED
    )


def _no_target(view: RuleInput) -> GateState | None:
    if view.sight.template is not None:
        return None
    name = view.sight.resource.spec.target.name
    return FinishedState(
        ExitCode.NOT_FOUND, f"Deployment {name} does not exist", Reason.TARGET_NOT_FOUND
    )


def _not_tracked_yet(view: RuleInput) -> GateState | None:
    if view.quest.template is not None:
        return None
    if view.ask.image is not None and view.ask.image not in view.sight.images:
        return PendingState(f"the Deployment does not want {view.ask.image} yet")
    return PendingState("nothing to release yet; waiting for the next template")


def _in_progress(view: RuleInput) -> GateState | None:
    status = view.status
    release = status.release
    if not view.own or release is None:
        return None
    if status.intent is Intent.BAKE:
        return _bake_in_progress(view)
    if status.intent is Intent.ADVANCE and not view.sight.asked:
        pause = release.pause.reason if release.pause else None
        reason = status.reason if status.reason is Reason.APPROVAL_NEEDED else pause
        if reason is not None:
            return _paused_result(view, reason)
    return _describe_progress(view)


def _bake_in_progress(view: RuleInput) -> GateState:
    if view.ask.bake:
        return PendingState("promoted; watched until the bake is over", view.status.message)
    return _promoted_result(view, "promoted; it is still watched (bake), see --bake")


def _in_history(view: RuleInput) -> GateState | None:
    entry = view.entry
    if entry is None or entry.ended_at in view.quest.known:
        return None
    why = _format_reason(entry.reason, entry.message)
    match entry.result:
        case Result.PROMOTED:
            # A version that was stable before, or an analysis that a person skipped: why and who.
            text = f"promoted: {entry.message}" if entry.message else "promoted"
            return _promoted_result(view, text, entry.reason)
        case Result.ROLLED_BACK:
            return FinishedState(ExitCode.FAILED, f"rolled back: {why}", entry.reason, entry)
        case Result.SUPERSEDED if view.sight.template == view.quest.template:
            return None  # the other one is gone again, and this one starts anew
        case Result.SUPERSEDED:
            text = "superseded by another template before it was judged to its end"
            return FinishedState(ExitCode.INCONCLUSIVE, text, entry.reason, entry)


def _already_stable(view: RuleInput) -> GateState | None:
    status = view.status
    if view.quest.template != status.stable_hash:
        return None
    if status.release is not None:
        return PendingState(f"another release ({status.release.template}) is being taken back")
    past = status.reason is Reason.ROLLED_OUT_WITHOUT_CANARY
    if past and view.quest.fresh:
        text = "rolled out past canary: it runs everywhere and was not judged"
        return FinishedState(ExitCode.INCONCLUSIVE, text, status.reason)
    note = " (it was rolled out without canary)" if past else ""
    reason = status.reason if past else Reason.AT_REST
    return _promoted_result(view, f"runs everywhere already{note}: nothing to release", reason)


def _already_rejected(view: RuleInput) -> GateState | None:
    if view.quest.template != view.status.rejected_hash:
        return None
    if view.sight.asked:
        return PendingState("a request waits for the operator", unseen=True)
    entry = view.entry
    if entry is None:
        return FinishedState(
            ExitCode.FAILED, "this template was rolled back before", Reason.REJECTED
        )
    text = f"this template was rolled back before: {_format_reason(entry.reason, entry.message)}"
    return FinishedState(ExitCode.FAILED, text, entry.reason, entry)


def _template_replaced(view: RuleInput) -> GateState | None:
    if view.sight.template == view.quest.template:
        return None
    status = view.status
    if status.reason is Reason.UNPAUSED_BY_HAND:
        return FinishedState(
            ExitCode.FAILED, f"put back: {_format_reason(status.reason, '')}", status.reason
        )
    text = "superseded: the Deployment wants another template, and this one was not released"
    return FinishedState(ExitCode.INCONCLUSIVE, text, Reason.TEMPLATE_CHANGED)


def _release_suspended(view: RuleInput) -> GateState | None:
    if not view.sight.resource.spec.suspend or view.status.release is not None:
        return None
    return _paused_result(view, Reason.SUSPENDED)


def _release_stalled(view: RuleInput) -> GateState | None:
    status = view.status
    stale = status.observed_generation < view.sight.resource.generation
    if stale or status.release is not None or view.sight.quiet < GRACE_SECONDS:
        return None
    if status.reason is Reason.TARGET_SCALED_TO_ZERO:
        text = f"cannot be judged: {_format_reason(status.reason, status.message)}"
        return FinishedState(ExitCode.INCONCLUSIVE, text, status.reason)
    if not status.reason.info.stalls:
        return None
    text = f"cannot start: {_format_reason(status.reason, status.message)}"
    return FinishedState(ExitCode.ERROR, text, status.reason)


def _not_handled_yet(view: RuleInput) -> GateState:
    status = view.status
    if status.stable_hash is None:
        return PendingState(f"not adopted yet: {status.reason}", status.message, unseen=True)
    if status.release is not None:
        return PendingState(f"the release before it ({status.release.template}) ends first")
    obstacle = status.reason.info.stalls or status.reason is Reason.TARGET_SCALED_TO_ZERO
    text = "the new template has not been taken up yet"
    if obstacle:
        return PendingState(f"{text}: {status.reason}", status.message)
    return PendingState(text, unseen=True)


def _promoted_result(
    view: RuleInput, headline: str, reason: Reason = Reason.PROMOTED
) -> FinishedState:
    return FinishedState(ExitCode.OK, headline, reason, view.entry)


_PAUSE_TEXTS: Final = {
    Reason.APPROVAL_NEEDED: "waits for approval",
    Reason.SUSPENDED: "is suspended",
}


def _paused_result(view: RuleInput, reason: Reason) -> GateState:
    status = view.status
    text = f"{_PAUSE_TEXTS.get(reason, 'is paused')} at {status.weight} %: {reason}"
    message = "" if reason is Reason.SUSPENDED else status.message
    if view.ask.pause_ok:
        return PendingState(text, message)
    code = ExitCode.INCONCLUSIVE if reason.info.inconclusive else ExitCode.PAUSED
    return FinishedState(code, f"{text}. {message}" if message else text, reason)


def _describe_progress(view: RuleInput) -> PendingState:
    status = view.status
    steps = len(view.sight.resource.spec.steps)
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
