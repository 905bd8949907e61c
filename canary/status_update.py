"""Writes the status after a reconcile, if it changed, and notifies people."""

from dataclasses import dataclass

from canary.api import Status
from canary.core.conditions import build_conditions
from canary.core.plan import REFUSED_PREFIX, ActResult, Plan, RemoveFinalizer
from canary.core.snapshot import Snapshot
from canary.errors import ConflictError, TransientError
from canary.interfaces import Change, Key, Notice, World

WRITE_EVERY = 10.0
"""Seconds between two writes if only figures changed; decisions are written at once."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """The result of one reconcile."""

    status: Status
    """The status as written."""
    requeue_after: float | None
    """Seconds until the next reconcile; None: only after a change."""
    done: ActResult
    judged_until: float | None = None
    """End of the samples that this reconcile analyzed (seconds), even if not written yet."""
    wait_at_most: float | None = None
    """See Plan."""


def update_status(world: World, snapshot: Snapshot, plan: Plan, done: ActResult) -> PassResult:
    """Write the plan's status if the whole plan was carried out.

    Otherwise write only reason and message; the next reconcile reads all objects and decides again.
    """
    before = snapshot.resource.status
    if done.refused is not None:
        after = _report_refusal(world, snapshot, plan, done.refused)
        return PassResult(after, done.refused.retry_after, done)
    after = plan.status.model_copy(update={"conditions": build_conditions(plan.status, snapshot)})
    if RemoveFinalizer() in done.actions and snapshot.resource.deleting_since is not None:
        _notify_on_change(world, snapshot, after)
        return PassResult(after, None, done)
    if _is_due(before, after, snapshot.now):
        after = after.model_copy(update={"written_at": snapshot.now})
        try:
            world.releases.write_status(snapshot.resource, after)
        except TransientError as error:
            return PassResult(before, _retry_delay(error), done)
        _notify_on_change(world, snapshot, after)
        return _build_result(after, plan, done)
    return _build_result(before, plan, done)


def _build_result(written: Status, plan: Plan, done: ActResult) -> PassResult:
    judged_until = plan.status.judged_until
    return PassResult(written, plan.requeue_after, done, judged_until, plan.wait_at_most)


def _report_refusal(
    world: World, snapshot: Snapshot, plan: Plan, refused: TransientError
) -> Status:
    """Write the reason and the error of a refused action, and leave decisions unchanged.

    The analysis state does not change, so that the same samples are analyzed again. The next
    reconcile resolves a conflict, so a conflict is reported only if the reason changed.
    """
    before, said = snapshot.resource.status, plan.status.reason
    again = isinstance(refused, ConflictError) and before.reason is said
    after = before.model_copy(
        update={
            "observed_generation": snapshot.resource.generation,
            "reason": said,
            "message": before.message if again else f"{REFUSED_PREFIX}{refused}",
        }
    )
    after = after.model_copy(update={"conditions": build_conditions(after, snapshot)})
    if (after.reason, after.message) == (before.reason, before.message):
        return before
    try:
        world.releases.write_status(snapshot.resource, after)
    except TransientError:
        return before
    _notify_on_change(world, snapshot, after)
    return after


def _is_due(before: Status, after: Status, now: float) -> bool:
    """Return whether to write the status now.

    Figures can be written later without loss: the next analysis starts from the end of the samples
    in the written status and reaches the same state.
    """
    if after == before:
        return False
    waited = now - (before.written_at or 0.0)
    return waited >= WRITE_EVERY or waited < 0.0 or _strip_figures(before) != _strip_figures(after)


def _strip_figures(status: Status) -> tuple[object, ...]:
    """Return the status without figures and messages about them.

    Whether the analysis has started is kept: until it is written, each reconcile reads stable's
    history again.
    """
    release = status.release.model_copy(update={"data_seen_at": None}) if status.release else None
    conditions = tuple((one.type, one.status, one.reason) for one in status.conditions)
    figures = {"judge": None, "judged_until": None, "analysis": (), "verdict": None}
    quiet = {"message": "", "conditions": (), "release": release, "written_at": None}
    begun = status.judged_until is not None
    return status.model_copy(update={**figures, **quiet}), conditions, begun


def _retry_delay(error: TransientError) -> float:
    return 0.0 if isinstance(error, ConflictError) else error.retry_after


def _notify_on_change(world: World, snapshot: Snapshot, after: Status) -> None:
    resource, before = snapshot.resource, snapshot.resource.status
    same = (before.phase, before.reason, before.weight) == (after.phase, after.reason, after.weight)
    if same:
        return
    key = Key(resource.namespace, resource.name)
    runs_it = snapshot.canary or snapshot.target
    pods = tuple(pod.name for pod in runs_it.pods) if runs_it is not None else ()
    change = Change(resource.spec, before, after, pods)
    world.notifier.notify(
        Notice(key, snapshot.now, after.phase, after.reason, after.message, after.weight, change)
    )
