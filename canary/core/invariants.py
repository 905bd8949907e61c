"""The invariants of the design, which the tests check after every plan and every action.

Each function returns None, or one sentence about the violation. The numbers are those of
docs/architecture.md. Invariants 5 (a crash does not change the result) and 8 (only the leader
writes) concern whole runs and have their own tests.
"""

from collections.abc import Callable

from canary.api import Intent, OnInconclusive, Skip, Verdict
from canary.core.analysis.result import AnalysisResult, ReplacementVerdict
from canary.core.plan import (
    Action,
    DeleteCanary,
    EnsureCanary,
    Plan,
    RestoreRoute,
    ResumeTarget,
    SetWeight,
)
from canary.core.snapshot import Snapshot, carried_weight

PlanCheck = Callable[[Snapshot, AnalysisResult, Plan], str | None]
ActionCheck = Callable[[Snapshot, AnalysisResult, Action], str | None]
MomentCheck = Callable[[Snapshot], str | None]


def within_the_step(snap: Snapshot) -> str | None:
    """1. An unvetted template receives at most the weight of the present step."""
    status, route = snap.resource.status, snap.route
    if status.intent is not Intent.ADVANCE or route is None:
        return None
    allowed = snap.resource.spec.steps[min(status.step, len(snap.resource.spec.steps) - 1)].weight
    if route.weight > allowed:
        return f"the canary has {route.weight} % in step {status.step}, which allows {allowed} %"
    return None


def rises_when_allowed(snap: Snapshot, judged: AnalysisResult, action: Action) -> str | None:
    """2, 11.

    The weight rises only if ready, confirmed, passed and held, with the template unchanged.

    It never exceeds what the ready canary pods can carry of stable's current load.
    """
    route, canary, target = snap.route, snap.canary, snap.target
    if not isinstance(action, SetWeight) or route is None or action.weight <= route.weight:
        return None
    status, release = snap.resource.status, snap.resource.status.release
    promoting = status.intent is Intent.PROMOTE
    rolling = promoting and release is not None and release.unhold_at is not None
    again = release is not None and status.step <= release.reached_step
    facts = {
        "the canary is not ready": canary is not None and canary.ready >= canary.replicas > 0,
        "the last weight is not confirmed": route.confirmed,
        "the template changed": target is not None and target.template == status.canary_hash,
        "the target is not held": target is not None and (target.held or rolling),
        "the status has no such weight": action.weight <= status.weight,
        "the verdict is not Pass": status.step == 0
        or judged.step is Verdict.PASS
        or judged.replacement is ReplacementVerdict.BETTER
        or again
        or promoting,
        "the ready pods do not carry it": snap.resource.spec.traffic.replicas is not None
        or _pods_carry_weight(snap, action.weight),
    }
    broken = [what for what, fine in facts.items() if not fine]
    return f"weight rises to {action.weight} although {', '.join(broken)}" if broken else None


def _pods_carry_weight(snap: Snapshot, weight: int) -> bool:
    """Return whether the ready canary pods can carry the weight of stable's current load."""
    canary, target = snap.canary, snap.target
    if canary is None or target is None:
        return False
    return weight <= carried_weight(canary.ready, target.replicas)


def promotes_on_pass(snap: Snapshot, judged: AnalysisResult, plan: Plan) -> str | None:
    """3. No promotion without Pass on every metric, unless a person or the spec skipped it."""
    turned = plan.status.intent is Intent.PROMOTE and snap.resource.status.intent is Intent.ADVANCE
    release = plan.status.release
    override = release.override if release is not None else None
    skips = override is not None and override.skip is Skip.ANALYSIS
    asked = skips or snap.resource.spec.on_inconclusive is OnInconclusive.PROMOTE
    better = judged.replacement is ReplacementVerdict.BETTER
    if turned and judged.final is not Verdict.PASS and not (asked or better):
        return f"promotes on {judged.final}"
    return None


def rolls_back_on_fail(snap: Snapshot, judged: AnalysisResult, plan: Plan) -> str | None:
    """3. No rollback without a Fail, broken pods, or a command."""
    turned = plan.status.intent is Intent.ROLL_BACK is not snap.resource.status.intent
    asked = snap.resource.spec.on_inconclusive is OnInconclusive.ROLL_BACK
    unexplained = not judged.failed and not plan.status.reason.info.without_analysis
    if turned and unexplained and not asked:
        return f"rolls back for {plan.status.reason} while the verdict is {judged.step}"
    return None


def weight_zero_first(snap: Snapshot, _judged: AnalysisResult, plan: Plan) -> str | None:
    """4. A rollback writes weight 0 before anything else."""
    turned = plan.status.intent is Intent.ROLL_BACK is not snap.resource.status.intent
    carries = snap.route is not None and snap.route.weight > 0
    if turned and carries and plan.actions[:1] != (SetWeight(0),):
        return f"rolls back, but first does {plan.actions[:1]}"
    return None


def weight_follows_readiness(snap: Snapshot, _judged: AnalysisResult, plan: Plan) -> str | None:
    """11. No weight stays above what the ready canary pods can carry while stable's are ready."""
    status, target, route = snap.resource.status, snap.target, snap.route
    release, canary = status.release, snap.canary
    if status.intent not in {Intent.ADVANCE, Intent.PROMOTE} or target is None or route is None:
        return None
    if release is None or release.rolled or snap.resource.spec.traffic.replicas is not None:
        return None
    ready = canary.ready if canary is not None else 0
    carried = carried_weight(ready, release.replicas)
    if route.weight <= carried or not any(pod.ready for pod in target.pods):
        return None
    first = plan.actions[0] if plan.actions else None
    lowers = isinstance(first, SetWeight) and first.weight <= carried
    if lowers or isinstance(first, RestoreRoute):
        return None
    return f"{ready} ready canary pods have {route.weight} %, and the first action is: {first}"


def new_template_from_zero(snap: Snapshot, _judged: AnalysisResult, plan: Plan) -> str | None:
    """6. A new template passes through weight 0."""
    before, after = snap.resource.status, plan.status
    fresh = after.canary_hash is not None and after.canary_hash != before.canary_hash
    fresh = fresh and after.intent is not Intent.ROLL_BACK  # a leftover canary
    if fresh and (after.weight != 0 or (snap.route is not None and snap.route.weight != 0)):
        return f"starts {after.canary_hash} at weight {after.weight}"
    return None


def stable_keeps_capacity(snap: Snapshot) -> str | None:
    """7. Stable keeps its full replica count until promotion is complete."""
    release, target = snap.resource.status.release, snap.target
    if release is None or target is None or snap.resource.status.intent is Intent.BAKE:
        return None
    taken_away = target.floor is not None and target.floor < release.replicas  # by somebody else
    if target.replicas < release.replicas and not taken_away:
        return f"stable has {target.replicas} replicas, the release began with {release.replicas}"
    return None


def rolls_when_promoting(snap: Snapshot, _judged: AnalysisResult, action: Action) -> str | None:
    """3. The target is resumed with a new template only while promoting."""
    if isinstance(action, ResumeTarget) and snap.resource.status.intent is not Intent.PROMOTE:
        return f"rolls the target while the intent is {snap.resource.status.intent}"
    return None


def nothing_left_at_rest(snap: Snapshot) -> str | None:
    """9. When idle the route has nothing of canary, and no canary exists."""
    if snap.resource.status.intent is not Intent.REST or snap.resource.status.stable_hash is None:
        return None
    if snap.route is not None and not snap.route.at_rest:
        return "idle, but the route differs from what the user wrote"
    return "idle, but the canary still exists" if snap.canary is not None else None


def no_endpoint_goes_early(snap: Snapshot, _judged: AnalysisResult, action: Action) -> str | None:
    """10. No canary pod is removed while the data plane may still send requests to it."""
    canary, route = snap.canary, snap.route
    fewer = isinstance(action, EnsureCanary) and canary and action.replicas < canary.replicas
    if not (fewer or isinstance(action, DeleteCanary)) or route is None or canary is None:
        return None
    if route.weight > 0 or not route.confirmed:
        return f"{action} while the route has {route.weight} %, confirmed: {route.confirmed}"
    return None


def no_growth_while_selected(snap: Snapshot, _judged: AnalysisResult, action: Action) -> str | None:
    """12. No canary grows and no weight rises while another Service selects the canary pods.

    This holds until the target's rollout, unless a person skipped the analysis.
    """
    canary, route = snap.canary, snap.route
    services = canary.selected_by if canary is not None else ()
    status, release = snap.resource.status, snap.resource.status.release
    skips = release is not None and release.override is not None
    held = release is not None and release.unhold_at is None and not skips
    unvetted = status.intent is Intent.ADVANCE or (status.intent is Intent.PROMOTE and held)
    if not unvetted or not services:
        return None
    grows = isinstance(action, EnsureCanary) and canary and action.replicas > canary.replicas
    rises = isinstance(action, SetWeight) and route and action.weight > route.weight
    return f"{action} while Service {services[0]} selects canary pods" if grows or rises else None


PLAN_CHECKS: tuple[PlanCheck, ...] = (
    promotes_on_pass,
    rolls_back_on_fail,
    weight_zero_first,
    weight_follows_readiness,
    new_template_from_zero,
)
ACTION_CHECKS: tuple[ActionCheck, ...] = (
    rises_when_allowed,
    rolls_when_promoting,
    no_endpoint_goes_early,
    no_growth_while_selected,
)
MOMENT_CHECKS: tuple[MomentCheck, ...] = (
    within_the_step,
    stable_keeps_capacity,
    nothing_left_at_rest,
)


def broken_by_plan(snap: Snapshot, judged: AnalysisResult, plan: Plan) -> tuple[str, ...]:
    """Return the invariants that a plan violates before its first action."""
    found = (check(snap, judged, plan) for check in PLAN_CHECKS)
    return tuple(sentence for sentence in found if sentence)


def broken_by_action(snap: Snapshot, judged: AnalysisResult, action: Action) -> tuple[str, ...]:
    """Return the invariants that one action would violate in the world as it is now."""
    found = (check(snap, judged, action) for check in ACTION_CHECKS)
    return tuple(sentence for sentence in found if sentence)


def broken_now(snap: Snapshot) -> tuple[str, ...]:
    """Return the invariants that the world violates as it is now."""
    found = (check(snap) for check in MOMENT_CHECKS)
    return tuple(sentence for sentence in found if sentence)
