"""Rolls a release back: weight 0 before anything else, then the cleanup."""

from canary.api import Intent, Reason, Result
from canary.core.plan import (
    Action,
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    Plan,
    RestoreRoute,
    RestoreTemplate,
    SetWeight,
    UnpinMinReplicas,
)
from canary.core.rollout.context import POLL, Rule, RuleContext, is_stable_lost
from canary.core.rollout.time_limits import TimeLimit
from canary.core.snapshot import Rejection

REASONS_TO_START_AGAIN = {
    Reason.STATUS_UNREADABLE,
    Reason.TEMPLATE_CHANGED,
    Reason.UNPAUSED_BY_HAND,
    Reason.STABLE_LOST,
    Reason.NOT_ISOLATED,
}
"""Reasons after whose rollback the same template may start again by itself."""
MAX_POD_NAMES = 10
"""Maximum number of pod names to keep: people inspect one or two."""


def roll_back(ctx: RuleContext, reason: Reason, *then: Action, message: str = "") -> Plan:
    """Roll back: the first write is weight 0, in the pass of the verdict, before any other."""
    pods = ctx.snap.canary.pods if ctx.snap.canary is not None else ()
    release = ctx.release.model_copy(
        update={
            "failed": reason,
            "message": message,
            "confirmed_at": None,
            "pause": None,
            "canary_pods": tuple(pod.name for pod in pods[:MAX_POD_NAMES]),
        }
    )
    actions = (SetWeight(0), *then) if ctx.snap.route is not None else then
    return ctx.plan(
        reason,
        *actions,
        after=POLL,
        message=message,
        intent=Intent.ROLL_BACK,
        release=release,
        weight=0,
        step_started_at=None,
    )


def failure_reason(ctx: RuleContext) -> Reason:
    """Return the reason of the rollback."""
    return ctx.release.failed or Reason.ABORTED


def _wait_in_rollback(
    ctx: RuleContext, *actions: Action, confirmed_at: float | None = None
) -> Plan:
    return ctx.wait(
        failure_reason(ctx), *actions, message=ctx.release.message, confirmed_at=confirmed_at
    )


def weight_to_zero(ctx: RuleContext) -> Plan | None:
    """Set the weight to 0, whatever else is true."""
    route = ctx.snap.route
    return _wait_in_rollback(ctx, SetWeight(0)) if route is not None and route.weight > 0 else None


def roll_target_back(ctx: RuleContext) -> Plan | None:
    """Roll back a target whose rollout has begun, by its own strategy."""
    target, stable = ctx.snap.target, ctx.status.stable_hash
    if target is None or stable is None or ctx.release.unhold_at is None:
        return None
    if target.template != stable:
        return _wait_in_rollback(
            ctx, RestoreTemplate(stable, roll=True), confirmed_at=ctx.release.confirmed_at
        )
    if target.running != stable:
        return _wait_in_rollback(ctx, confirmed_at=ctx.release.confirmed_at)
    return None


def pause_target_with_stable(ctx: RuleContext) -> Plan | None:
    """Pause a resumed target with the vetted template: unvetted pods go, no vetted pod restarts."""
    target, stable = ctx.snap.target, ctx.status.stable_hash
    if target is None or target.held or stable is None or ctx.release.unhold_at is not None:
        return None
    if is_stable_lost(ctx):
        return None
    action = PauseTarget(stable) if target.template == stable else RestoreTemplate(stable)
    return _wait_in_rollback(ctx, action, confirmed_at=ctx.release.confirmed_at)


def wait_for_zero_weight(ctx: RuleContext) -> Plan | None:
    """Keep the canary's pods until the router has confirmed weight 0."""
    route = ctx.snap.route
    if route is None or ctx.settled:
        return None
    if not route.confirmed:
        return _wait_in_rollback(ctx)
    return _wait_in_rollback(ctx, confirmed_at=ctx.release.confirmed_at or ctx.now)


def wait_for_drain(ctx: RuleContext) -> Plan | None:
    """Keep the canary's pods while its request counters still increase."""
    canary, since = ctx.snap.canary, ctx.release.confirmed_at
    if canary is None or canary.replicas == 0 or not ctx.judged.canary_busy:
        return None
    if since is None or ctx.is_over(TimeLimit.DRAIN):
        return None
    return _wait_in_rollback(ctx, confirmed_at=since)


def scale_canary_down(ctx: RuleContext) -> Plan | None:
    """Scale the canary to 0: it gets no requests any more."""
    canary = ctx.snap.canary
    if canary is None or canary.replicas == 0:
        return None
    action = EnsureCanary(canary.template, 0)
    return _wait_in_rollback(ctx, action, confirmed_at=ctx.release.confirmed_at)


def restore_route(ctx: RuleContext) -> Plan | None:
    """Remove the canary's Service from the route before it is deleted."""
    route = ctx.snap.route
    return (
        _wait_in_rollback(ctx, RestoreRoute()) if route is not None and not route.at_rest else None
    )


def delete_canary(ctx: RuleContext) -> Plan | None:
    """Delete the canary's objects and restore the autoscaler."""
    if ctx.snap.canary is None:
        return None
    return _wait_in_rollback(
        ctx, DeleteCanary(), UnpinMinReplicas(), confirmed_at=ctx.release.confirmed_at
    )


def pause_target(ctx: RuleContext) -> Plan | None:
    """Pause the target again after the rollback."""
    target, stable = ctx.snap.target, ctx.status.stable_hash
    if target is None or target.held or stable is None or is_stable_lost(ctx):
        return None
    return _wait_in_rollback(ctx, PauseTarget(stable), confirmed_at=ctx.release.confirmed_at)


def rejection_of(ctx: RuleContext) -> Rejection | None:
    """Return the template that a rollback rejects; None if the template is not at fault."""
    reason = failure_reason(ctx)
    if reason in REASONS_TO_START_AGAIN:
        return None
    return Rejection(ctx.release.template, reason, ctx.now)


def finish_rollback(ctx: RuleContext) -> Plan:
    """Finish the rollback: record the rejected template and the reason.

    The template is first recorded on the target, which keeps it even if the CanaryRelease is
    deleted.
    """
    release, reason = ctx.release, failure_reason(ctx)
    superseded = reason is Reason.TEMPLATE_CHANGED
    result = Result.SUPERSEDED if superseded else Result.ROLLED_BACK
    entry = ctx.build_entry(result, reason, release.message)
    rejection = rejection_of(ctx)
    noted = (NoteRejection(rejection),) if ctx.snap.target is not None else ()
    return ctx.plan(
        reason,
        UnpinMinReplicas(),
        *noted,
        message=release.message,
        intent=Intent.REST,
        release=None,
        rejected_hash=None if rejection is None else rejection.template,
        judge=None,
        history=(entry, *ctx.status.history)[:10],
    )


ROLL_BACK: tuple[Rule, ...] = (
    weight_to_zero,
    pause_target_with_stable,
    roll_target_back,
    wait_for_zero_weight,
    wait_for_drain,
    scale_canary_down,
    restore_route,
    delete_canary,
    pause_target,
    finish_rollback,
)
