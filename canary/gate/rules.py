"""Where the release that a pipeline waits for stands: go on waiting, or it ended so. Pure."""

from collections.abc import Callable
from typing import Final

from canary.api import Intent, Reason, Result
from canary.errors import ExitCode
from canary.gate.tracking import Ask, Ended, Quest, Sight, Standing, View, Waiting

GRACE: Final = 30.0
"""Seconds for which an obstacle may last: objects that are applied together come one by one."""


def standing(sight: Sight, quest: Quest, ask: Ask) -> Standing:
    """The answer of the first rule that has one."""
    view = View(sight, quest, ask)
    for rule in RULES:
        found = rule(view)
        if found is not None:
            return found
    raise LookupError("the last rule always answers")


def overdue(sight: Sight, quest: Quest, ask: Ask, waited: str) -> Ended:
    """The time is up; a release that is on its way back has failed all the same."""
    view = View(sight, quest, ask)
    release = view.status.release
    if view.own and release is not None and view.status.intent is Intent.ROLL_BACK:
        reason = release.failed or view.status.reason
        if reason is not Reason.TEMPLATE_CHANGED:
            text = f"is being rolled back: {_why(reason, release.message)}"
            return Ended(ExitCode.FAILED, text, reason)
    found = standing(sight, quest, ask)
    now = str(found) if isinstance(found, Waiting) else found.headline
    return Ended(ExitCode.TIMED_OUT, f"has not ended within {waited}: {now}", view.status.reason)


def _deleted(view: View) -> Standing | None:
    if view.sight.resource.deleting_since is None:
        return None
    return Ended(ExitCode.NOT_FOUND, "is being deleted, so no release can end", Reason.DELETED)


def _no_target(view: View) -> Standing | None:
    if view.sight.template is not None:
        return None
    name = view.sight.resource.spec.target.name
    return Ended(ExitCode.NOT_FOUND, f"Deployment {name} does not exist", Reason.TARGET_NOT_FOUND)


def _not_begun(view: View) -> Standing | None:
    if view.quest.template is not None:
        return None
    if view.ask.image is not None and view.ask.image not in view.sight.images:
        return Waiting(f"the Deployment does not want {view.ask.image} yet")
    return Waiting("nothing to release yet; waiting for the next template")


def _on_its_way(view: View) -> Standing | None:
    status = view.status
    release = status.release
    if not view.own or release is None:
        return None
    if status.intent is Intent.BAKE:
        return _baking(view)
    if status.intent is Intent.ADVANCE and not view.sight.asked:
        pause = release.pause.reason if release.pause else None
        reason = status.reason if status.reason is Reason.APPROVAL_NEEDED else pause
        if reason is not None:
            return _paused(view, reason)
    return _progress(view)


def _baking(view: View) -> Standing:
    if view.ask.bake:
        return Waiting("promoted; watched until the bake is over", view.status.message)
    return _promoted(view, "promoted; it is still watched (bake), see --bake")


def _in_history(view: View) -> Standing | None:
    entry = view.entry
    if entry is None or entry.ended_at in view.quest.known:
        return None
    why = _why(entry.reason, entry.message)
    match entry.result:
        case Result.PROMOTED:
            # A version that was stable before, or an analysis that a person skipped: why and who.
            text = f"promoted: {entry.message}" if entry.message else "promoted"
            return _promoted(view, text, entry.reason)
        case Result.ROLLED_BACK:
            return Ended(ExitCode.FAILED, f"rolled back: {why}", entry.reason, entry)
        case Result.SUPERSEDED if view.sight.template == view.quest.template:
            return None  # the other one is gone again, and this one starts anew
        case Result.SUPERSEDED:
            text = "superseded by another template before it was judged to its end"
            return Ended(ExitCode.INCONCLUSIVE, text, entry.reason, entry)


def _stable(view: View) -> Standing | None:
    status = view.status
    if view.quest.template != status.stable_hash:
        return None
    if status.release is not None:
        return Waiting(f"another release ({status.release.template}) is being taken back")
    past = status.reason is Reason.ROLLED_OUT_WITHOUT_CANARY
    if past and view.quest.fresh:
        text = "rolled out past canary: it runs everywhere and was not judged"
        return Ended(ExitCode.INCONCLUSIVE, text, status.reason)
    note = " (it was rolled out without canary)" if past else ""
    reason = status.reason if past else Reason.AT_REST
    return _promoted(view, f"runs everywhere already{note}: nothing to release", reason)


def _rejected(view: View) -> Standing | None:
    if view.quest.template != view.status.rejected_hash:
        return None
    if view.sight.asked:
        return Waiting("a request waits for the operator", unseen=True)
    entry = view.entry
    if entry is None:
        return Ended(ExitCode.FAILED, "this template was rolled back before", Reason.REJECTED)
    text = f"this template was rolled back before: {_why(entry.reason, entry.message)}"
    return Ended(ExitCode.FAILED, text, entry.reason, entry)


def _overtaken(view: View) -> Standing | None:
    if view.sight.template == view.quest.template:
        return None
    status = view.status
    if status.reason is Reason.UNPAUSED_BY_HAND:
        return Ended(ExitCode.FAILED, f"put back: {_why(status.reason, '')}", status.reason)
    text = "superseded: the Deployment wants another template, and this one was not released"
    return Ended(ExitCode.INCONCLUSIVE, text, Reason.TEMPLATE_CHANGED)


def _suspended(view: View) -> Standing | None:
    if not view.sight.resource.spec.suspend or view.status.release is not None:
        return None
    return _paused(view, Reason.SUSPENDED)


def _stalled(view: View) -> Standing | None:
    status = view.status
    stale = status.observed_generation < view.sight.resource.generation
    if stale or status.release is not None or view.sight.quiet < GRACE:
        return None
    if status.reason is Reason.TARGET_SCALED_TO_ZERO:
        text = f"cannot be judged: {_why(status.reason, status.message)}"
        return Ended(ExitCode.INCONCLUSIVE, text, status.reason)
    if not status.reason.info.stalls:
        return None
    text = f"cannot start: {_why(status.reason, status.message)}"
    return Ended(ExitCode.ERROR, text, status.reason)


def _unseen(view: View) -> Standing:
    status = view.status
    if status.stable_hash is None:
        return Waiting(f"not adopted yet: {status.reason}", status.message, unseen=True)
    if status.release is not None:
        return Waiting(f"the release before it ({status.release.template}) ends first")
    obstacle = status.reason.info.stalls or status.reason is Reason.TARGET_SCALED_TO_ZERO
    text = "the new template has not been taken up yet"
    if obstacle:
        return Waiting(f"{text}: {status.reason}", status.message)
    return Waiting(text, unseen=True)


def _promoted(view: View, headline: str, reason: Reason = Reason.PROMOTED) -> Ended:
    return Ended(ExitCode.OK, headline, reason, view.entry)


_WORDS: Final = {
    Reason.APPROVAL_NEEDED: "waits for approval",
    Reason.SUSPENDED: "is suspended",
}


def _paused(view: View, reason: Reason) -> Standing:
    status = view.status
    text = f"{_WORDS.get(reason, 'is paused')} at {status.weight} %: {reason}"
    message = "" if reason is Reason.SUSPENDED else status.message
    if view.ask.pause_ok:
        return Waiting(text, message)
    code = ExitCode.INCONCLUSIVE if reason.info.inconclusive else ExitCode.PAUSED
    return Ended(code, f"{text}. {message}" if message else text, reason)


def _progress(view: View) -> Waiting:
    status = view.status
    steps = len(view.sight.resource.spec.steps)
    step = f", step {min(status.step + 1, steps)} of {steps}"
    where = step if status.intent is Intent.ADVANCE else ""
    text = f"{status.phase} at {status.weight} %{where}: {status.reason}"
    return Waiting(text, status.message)


def _why(reason: Reason, message: str) -> str:
    return f"{reason}. {message}" if message else str(reason)


Rule = Callable[[View], Standing | None]
RULES: Final[tuple[Rule, ...]] = (
    _deleted,
    _no_target,
    _not_begun,
    _on_its_way,
    _in_history,
    _stable,
    _rejected,
    _overtaken,
    _suspended,
    _stalled,
    _unseen,
)
"""In order of priority."""
