"""Decides what to do next: a pure function from a snapshot to a plan.

Each direction (`Intent`) has a list of rules; the first rule that applies returns the plan. A lower
weight is written to the route first and then to the status; a higher weight the other way round.
After a crash at any point the route therefore never has more weight than the status.
"""

from dataclasses import replace

from canary.api import Intent, Reason, Status, Verdict
from canary.core.analysis.result import AnalysisResult
from canary.core.plan import Plan
from canary.core.rollout.advance import ADVANCE
from canary.core.rollout.commands import apply_request
from canary.core.rollout.context import (
    SHORTEST_WAIT,
    Rule,
    RuleContext,
    canary_replicas,
    canary_size,
    first_match,
    pods_for_share,
)
from canary.core.rollout.idle import REST, target_missing
from canary.core.rollout.phase import phase_of, step_of
from canary.core.rollout.promote import BAKE, PROMOTE, go_back
from canary.core.rollout.rollback import ROLL_BACK, roll_back
from canary.core.rollout.terminate import TERMINATE
from canary.core.rollout.time_limits import list_spans, seconds_to_deadline
from canary.core.snapshot import ReleaseRequest, Snapshot, Verb

__all__ = ["canary_replicas", "canary_size", "decide", "phase_of", "pods_for_share"]

RULES: dict[Intent, tuple[Rule, ...]] = {
    Intent.REST: REST,
    Intent.ADVANCE: ADVANCE,
    Intent.PROMOTE: PROMOTE,
    Intent.BAKE: BAKE,
    Intent.ROLL_BACK: ROLL_BACK,
}


def decide(snap: Snapshot, judged: AnalysisResult) -> Plan:
    """Return the next status, the ordered actions, and the time of the next pass."""
    snap = _repair_status(snap)
    status, request = apply_request(snap)
    # A rollback reads metrics only for the canary's last requests. The metrics that caused it are
    # kept.
    over = status.intent is Intent.ROLL_BACK
    status = status.model_copy(
        update={
            "observed_generation": snap.resource.generation,
            "judged_until": judged.until if judged.until is not None else status.judged_until,
            "judge": status.judge if judged.state is None else judged.state,
            "analysis": status.analysis if over else judged.metrics or status.analysis,
            "verdict": status.verdict if over else _find_verdict(status, judged),
        }
    )
    context = RuleContext(snap, judged, status, request)
    return _finish_plan(_select_plan(context, request), context)


def _repair_status(snap: Snapshot) -> Snapshot:
    """Return the snapshot with a consistent status: a lost or unreadable one becomes idle.

    A canary that is left over is then rolled back. The template that runs on all pods is stable.
    """
    status, target = snap.resource.status, snap.target
    changes: dict[str, object] = {}
    if (status.intent is Intent.REST) is not (status.release is None):
        changes |= {"intent": Intent.REST, "release": None, "weight": 0, "step_started_at": None}
    if status.stable_hash is None and snap.canary is not None and target is not None:
        changes["stable_hash"] = target.running
    if not changes:
        return snap
    return replace(snap, resource=replace(snap.resource, status=status.model_copy(update=changes)))


def _find_verdict(status: Status, judged: AnalysisResult) -> Verdict | None:
    """Return the verdict of this pass; without metrics, the last one; None before the first."""
    return judged.verdict if judged.metrics else status.verdict


def _select_plan(context: RuleContext, request: ReleaseRequest | None) -> Plan:
    if context.snap.resource.deleting_since is not None:
        return first_match(TERMINATE, context)
    intent = context.status.intent
    verb = request.verb if request is not None else None
    if verb in {Verb.ABORT, Verb.UNDO} and (plan := _plan_reversal(context, verb)) is not None:
        return plan
    if intent not in {Intent.REST, Intent.ROLL_BACK}:
        missing = target_missing(context)
        if missing is not None:
            return missing
    return first_match(RULES[context.status.intent], context)


def _plan_reversal(context: RuleContext, verb: Verb | None) -> Plan | None:
    """Return the plan of a person's abort or undo; None if a rule handles it or nothing does."""
    undo = verb is Verb.UNDO
    match context.status.intent:
        case Intent.ADVANCE | Intent.PROMOTE:
            return None if undo else roll_back(context, Reason.ABORTED)
        case Intent.BAKE:
            return go_back(context, Reason.UNDONE if undo else Reason.ABORTED)
        case Intent.REST | Intent.ROLL_BACK:
            return None


def _finish_plan(plan: Plan, context: RuleContext) -> Plan:
    status = plan.status
    message = status.message or status.reason.info.sentence
    status = status.model_copy(update={"message": message})
    shown = {
        "phase": phase_of(status),
        "current_step": step_of(status, len(context.spec.steps)),
        "verdict": None if status.release is None else status.verdict,
    }
    status = status.model_copy(update=shown)
    # If nothing changed, keep the same status object, so that nothing is written.
    if status == context.snap.resource.status:
        status = context.snap.resource.status
    if plan.wait_at_most is None:
        return replace(plan, status=status)
    resource = context.snap.resource
    spans = list_spans(status, resource.spec, resource.deleting_since)
    left = max(seconds_to_deadline(spans.values(), context.now), SHORTEST_WAIT)
    return replace(plan, status=status, wait_at_most=min(plan.wait_at_most, left))
