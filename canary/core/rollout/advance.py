"""Advances a release step by step; the rules that take traffic away come first in the list."""

from typing import Any

from canary.api import CheckMoment, Intent, OnInconclusive, Reason, Skip, Verdict
from canary.core.analysis.result import ReplacementVerdict
from canary.core.due_checks import DueChecks, select_due_checks
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    PinMinReplicas,
    Plan,
    RunChecks,
    SetWeight,
)
from canary.core.rollout.context import (
    SOON,
    Rule,
    RuleContext,
    canary_size,
    describe_lost_stable,
    describe_override,
    is_skipped,
)
from canary.core.rollout.idle import route_missing
from canary.core.rollout.protect import PROTECT, correct_foreign_weight, never_ready
from canary.core.rollout.readiness import (
    end_pod_wait,
    follow_stable_growth,
    restore_stable_capacity,
    update_canary_service,
    wait_for_acceptance,
    wait_for_all_pods,
    wait_for_pods,
)
from canary.core.rollout.rollback import roll_back
from canary.core.rollout.time_limits import TimeLimit
from canary.text.format import human_duration

REASON_WITHOUT_DATA = {
    Verdict.NO_DATA: Reason.NO_DATA,
    Verdict.UNAVAILABLE: Reason.MONITORING_UNAVAILABLE,
}


def end_inconclusive(ctx: RuleContext, reason: Reason, message: str = "") -> Plan:
    """End a wait for evidence as `spec.onInconclusive` says."""
    match ctx.spec.on_inconclusive:
        case OnInconclusive.PAUSE:
            return ctx.pause(reason, message=message)
        case OnInconclusive.ROLL_BACK:
            return roll_back(ctx, reason, message=message)
        case OnInconclusive.PROMOTE:
            return ctx.plan(reason, message=message, intent=Intent.PROMOTE)


def deadline_exceeded(ctx: RuleContext) -> Plan | None:
    """End a release that exceeds its deadline as inconclusive, and say what it waited for."""
    if ctx.release.pause or not ctx.is_over(TimeLimit.RELEASE):
        return None
    message = f"The release did not end within {human_duration(ctx.spec.deadline)}."
    if ctx.last_message:
        message += f" It waited with the reason {ctx.status.reason}: {ctx.last_message}"
    return end_inconclusive(ctx, Reason.DEADLINE_EXCEEDED, message)


def promote_without_analysis(ctx: RuleContext) -> Plan | None:
    """Promote without analysis, as a person decided; automatic rollback stays active."""
    if not is_skipped(ctx, Skip.ANALYSIS):
        return None
    return ctx.plan(
        Reason.ANALYSIS_SKIPPED, message=describe_override(ctx.release), intent=Intent.PROMOTE
    )


def wait_for_lost_stable(ctx: RuleContext) -> Plan | None:
    """Keep the canary's weight if the paused target has no pods and can get none."""
    target = ctx.snap.target
    if target is None or not target.stable_lost or any(pod.ready for pod in target.pods):
        return None
    return ctx.wait(Reason.STABLE_LOST, message=describe_lost_stable(ctx))


def stay_paused(ctx: RuleContext) -> Plan | None:
    """Wait for a person; the rules that protect the release ran before."""
    pause = ctx.release.pause
    if pause is None:
        return None
    return ctx.await_sample(pause.reason, ctx.last_message)


def roll_back_not_isolated(ctx: RuleContext) -> Plan | None:
    """Roll back if a new Service sends requests to canary pods, whatever the weight.

    Labels of pods cannot change: the pods go, and the release starts again with other labels.
    """
    canary = ctx.snap.canary
    if canary is None or not canary.selected_by:
        return None
    message = f"Service {canary.selected_by[0]} selects canary pods."
    return roll_back(ctx, Reason.NOT_ISOLATED, message=message)


def delete_wrong_canary(ctx: RuleContext) -> Plan | None:
    """Delete a leftover canary of another template; it gets no traffic."""
    canary = ctx.snap.canary
    if canary is None or canary.template == ctx.release.template:
        return None
    return ctx.wait(Reason.STARTED, SetWeight(0), DeleteCanary(), confirmed_at=None)


def scale_up_canary(ctx: RuleContext) -> Plan | None:
    """Scale the canary up for the step before the step's weight is written."""
    wanted = canary_size(ctx.spec, ctx.release.replicas, ctx.step.weight)
    canary = ctx.snap.canary
    if canary is not None and canary.replicas >= wanted:
        return None
    action = EnsureCanary(ctx.release.template, wanted)
    return ctx.wait(Reason.CANARY_NOT_READY, action, scaling_since=ctx.now)


def wait_for_canary(ctx: RuleContext) -> Plan | None:
    """Wait until all pods are ready before more traffic; pods that fail later are judged."""
    canary = ctx.snap.canary
    rising = ctx.status.weight != ctx.step.weight or ctx.release.confirmed_at is None
    if canary is None or not rising:
        return None
    if canary.ready < canary.replicas:
        return wait_for_pods(ctx, canary)
    if ctx.release.judged_from is None:
        return ctx.wait(
            Reason.CANARY_NOT_READY, after=SOON, judged_from=ctx.now, scaling_since=None
        )
    return None


def run_checks_before_traffic(ctx: RuleContext) -> Plan | None:
    """Run the checks at weight 0 and keep their results."""
    due = select_due_checks(ctx.spec, ctx.status)
    if not due.checks or due.when is not CheckMoment.BEFORE_TRAFFIC:
        return None
    return _run_checks(ctx, due, checks=ctx.snap.checks)


def run_step_checks(ctx: RuleContext) -> Plan | None:
    """Run the checks of a step once its traffic flows; the step passes only if all pass."""
    due = select_due_checks(ctx.spec, ctx.status)
    if not due.checks or due.when is not CheckMoment.EACH_STEP:
        return None
    return _run_checks(ctx, due, checked_step=ctx.status.step)


def _run_checks(ctx: RuleContext, due: DueChecks, **passed: Any) -> Plan:  # noqa: ANN401 - fields of the release, as in Context.wait
    """Start the checks that are due; once all have passed, set `passed` in the release."""
    done = [check for check in ctx.snap.checks if check.verdict is Verdict.PASS]
    if len(done) == len(due.checks):
        return ctx.wait(Reason.CHECKS_RUNNING, after=SOON, **passed)
    for check in ctx.snap.checks:
        if check.verdict in {Verdict.NO_DATA, Verdict.UNAVAILABLE}:
            if ctx.spec.on_inconclusive is OnInconclusive.PROMOTE:
                # The user accepts missing check results, but the steps still run.
                return ctx.wait(Reason.CHECKS_RUNNING, after=SOON, **passed)
            message = f"Check {check.name} neither passed nor failed: {check.message}"
            return end_inconclusive(ctx, Reason.CHECK_INCONCLUSIVE, message)
    return ctx.wait(Reason.CHECKS_RUNNING, RunChecks(ctx.release.template))


def wait_for_judge(ctx: RuleContext) -> Plan | None:
    """Keep the weight until an analysis that started again has caught up."""
    why = ctx.judged.catching_up
    asked = ctx.status.intent is Intent.PROMOTE and (
        ctx.spec.on_inconclusive is OnInconclusive.PROMOTE
    )
    if not why or asked or is_skipped(ctx, Skip.ANALYSIS):
        return None
    message = f"The state of the analysis could not be read: {why}. The analysis starts again."
    if ctx.judged.step in REASON_WITHOUT_DATA and ctx.is_over(TimeLimit.DATA):
        return end_inconclusive(ctx, REASON_WITHOUT_DATA[ctx.judged.step], ctx.judged.message)
    return ctx.await_sample(Reason.JUDGE_STATE_UNREADABLE, message)


def record_weight(ctx: RuleContext) -> Plan | None:
    """Write a rise to the status first: after a crash the route never has more weight."""
    if ctx.status.weight == ctx.step.weight:
        return None
    release = ctx.release.model_copy(
        update={
            "confirmed_at": None,
            "peak_weight": max(ctx.release.peak_weight, ctx.step.weight),
        }
    )
    return ctx.plan(
        Reason.SHIFTING_TRAFFIC, weight=ctx.step.weight, step_started_at=None, release=release
    )


def wait_for_lost_evidence(ctx: RuleContext) -> Plan | None:
    """Wait if the evidence that allowed the rise is gone before it is written."""
    route = ctx.snap.route
    rising = route is not None and route.least < ctx.status.weight
    back = ctx.status.step <= max(ctx.release.reached_step, 0)
    allowed = ctx.judged.step is Verdict.PASS or _is_replacing_stable(ctx)
    if not rising or back or allowed:
        return None
    reason = REASON_WITHOUT_DATA.get(ctx.judged.step, Reason.GATHERING_EVIDENCE)
    return ctx.wait(reason, message=ctx.judged.message)


def write_weight(ctx: RuleContext) -> Plan | None:
    """Write the weight of the status to the route.

    Before a rise the autoscaler's minimum is raised again: manifests applied during the release
    may have reset it.
    """
    route = ctx.snap.route
    if route is None or route.weight == route.least == ctx.status.weight:
        return None
    rising = route.least < ctx.status.weight
    first = (PinMinReplicas(ctx.release.replicas),) if rising else ()
    shift = SetWeight(ctx.status.weight)
    return ctx.wait(Reason.SHIFTING_TRAFFIC, *first, shift, message=route.detail, confirmed_at=None)


def wait_for_route(ctx: RuleContext) -> Plan | None:
    """Wait until the router has confirmed the weight and the propagation delay is over."""
    route = ctx.snap.route
    if route is None or ctx.settled:
        return None
    if not route.confirmed:
        return ctx.wait(Reason.SHIFTING_TRAFFIC, message=route.detail)
    return ctx.wait(Reason.SHIFTING_TRAFFIC, confirmed_at=ctx.release.confirmed_at or ctx.now)


def start_step_clock(ctx: RuleContext) -> Plan | None:
    """Start the step's clock: the propagation delay is over."""
    if ctx.status.step_started_at is not None:
        return None
    release = ctx.release.model_copy(update={"reached_step": ctx.status.step})
    return ctx.plan(Reason.HOLDING, step_started_at=ctx.now, release=release)


def wait_for_data(ctx: RuleContext) -> Plan | None:
    """Keep the weight without data; after the no-data timeout the release is inconclusive."""
    reason = REASON_WITHOUT_DATA.get(ctx.judged.step)
    if reason is None and ctx.judged.not_shifted:
        reason = Reason.TRAFFIC_NOT_SHIFTED
    if reason is None:
        return None
    if ctx.is_over(TimeLimit.DATA):
        return end_inconclusive(ctx, reason, ctx.judged.message)
    return ctx.await_sample(reason, ctx.judged.message)


def _is_replacing_stable(ctx: RuleContext) -> bool:
    """Return whether the canary replaces a broken stable version."""
    return ctx.judged.replacement is ReplacementVerdict.BETTER


def replacing_unhealthy_stable(ctx: RuleContext) -> Plan | None:
    """Shorten the steps if stable fails and the canary is better.

    All durations together, including `minDuration`, shrink to one warm-up and one tolerated
    incident after the canary's first traffic. Approvals are still required.
    """
    if not _is_replacing_stable(ctx) or ctx.judged.catching_up:
        return None
    left = ctx.seconds_left(TimeLimit.REPLACEMENT)
    reason = Reason.REPLACING_UNHEALTHY_STABLE
    if left > 0:
        return _await_evidence(ctx, reason, within=left)
    waiting = wait_for_all_pods(ctx) or wait_for_approval(ctx)
    if waiting is not None:
        return waiting
    release = ctx.release.model_copy(update={"outages": 0})
    message = ctx.judged.message
    if ctx.status.step + 1 < len(ctx.spec.steps) and not is_skipped(ctx, Skip.STEPS):
        step = ctx.status.step + 1
        return ctx.plan(reason, message=message, step=step, release=release)
    return ctx.plan(reason, message=message, intent=Intent.PROMOTE, release=release)


def stable_unhealthy(ctx: RuleContext) -> Plan | None:
    """Keep the weight while stable fails too: the canary is not the cause."""
    if not ctx.judged.stable_unhealthy:
        return None
    return _await_evidence(ctx, Reason.STABLE_UNHEALTHY)


def wait_for_duration(ctx: RuleContext) -> Plan | None:
    """Wait for the step's duration: faults need time to show."""
    left = ctx.seconds_left(TimeLimit.STEP)
    if left <= 0:
        return None
    return _await_evidence(ctx, Reason.HOLDING, within=left)


def wait_for_evidence(ctx: RuleContext) -> Plan | None:
    """Wait until the verdict is Pass, which alone raises the weight."""
    if ctx.judged.step is Verdict.PASS:
        return None
    return _await_evidence(ctx, Reason.GATHERING_EVIDENCE)


def wait_for_approval(ctx: RuleContext) -> Plan | None:
    """Wait for a person's approval if the step requires it."""
    if not ctx.step.approval or ctx.release.approved_step >= ctx.status.step:
        return None
    return _await_evidence(ctx, Reason.APPROVAL_NEEDED)


def start_next_step(ctx: RuleContext) -> Plan | None:
    """Start the next step."""
    if ctx.status.step + 1 >= len(ctx.spec.steps) or is_skipped(ctx, Skip.STEPS):
        return None
    release = ctx.release.model_copy(update={"outages": 0})
    return ctx.plan(Reason.STEP_PASSED, step=ctx.status.step + 1, release=release)


def start_promotion(ctx: RuleContext) -> Plan:
    """Start the promotion after the last step, once the final verdict is Pass."""
    if ctx.judged.final is not Verdict.PASS:
        return _await_evidence(ctx, Reason.GATHERING_EVIDENCE)
    release = ctx.release.model_copy(update={"outages": 0})
    return ctx.plan(Reason.STEP_PASSED, intent=Intent.PROMOTE, release=release)


def _await_evidence(ctx: RuleContext, reason: Reason, within: float | None = None) -> Plan:
    return ctx.await_sample(reason, ctx.judged.message, within, data_seen_at=ctx.now)


ADVANCE: tuple[Rule, ...] = (
    *PROTECT,
    roll_back_not_isolated,
    update_canary_service,
    follow_stable_growth,
    restore_stable_capacity,
    end_pod_wait,
    never_ready,
    promote_without_analysis,
    deadline_exceeded,
    wait_for_lost_stable,
    route_missing,
    correct_foreign_weight,
    stay_paused,
    delete_wrong_canary,
    scale_up_canary,
    wait_for_canary,
    run_checks_before_traffic,
    wait_for_acceptance,
    wait_for_judge,
    record_weight,
    wait_for_lost_evidence,
    write_weight,
    wait_for_route,
    start_step_clock,
    run_step_checks,
    wait_for_data,
    replacing_unhealthy_stable,
    stable_unhealthy,
    wait_for_duration,
    wait_for_evidence,
    wait_for_all_pods,
    wait_for_approval,
    start_next_step,
    start_promotion,
)
