"""Restores everything when a CanaryRelease is deleted, within a time limit."""

from canary.api import Reason
from canary.core.plan import (
    Action,
    DeleteCanary,
    NoteRejection,
    Plan,
    RemoveFinalizer,
    RestoreRoute,
    RestoreTemplate,
    UnmanageTarget,
    UnpinMinReplicas,
)
from canary.core.rollout.context import POLL, Rule, RuleContext, select_vetted_template
from canary.core.rollout.rollback import rejection_of
from canary.core.rollout.time_limits import CLEANUP_TIMEOUT, TimeLimit


def _wait_in_deletion(
    ctx: RuleContext, *actions: Action, confirmed_at: float | None = None
) -> Plan:
    if ctx.status.release is None:
        return ctx.plan(Reason.DELETED, *actions, after=POLL)
    return ctx.wait(Reason.DELETED, *actions, confirmed_at=confirmed_at)


def _confirmed_at(ctx: RuleContext) -> float | None:
    return ctx.status.release.confirmed_at if ctx.status.release else None


def give_up_cleanup(ctx: RuleContext) -> Plan | None:
    """Report an incomplete cleanup and complete the deletion."""
    if not ctx.is_over(TimeLimit.DELETION):
        return None
    message = (
        f"Cleanup incomplete after {CLEANUP_TIMEOUT:.0f} s; check the route and canary objects."
    )
    return ctx.plan(Reason.DELETED, RemoveFinalizer(), after=None, message=message)


def leave_unadopted_target(ctx: RuleContext) -> Plan | None:
    """Change nothing if this release never managed the target: another one may."""
    if ctx.status.stable_hash is not None or ctx.snap.canary is not None:
        return None
    return ctx.plan(Reason.DELETED, UnmanageTarget(), RemoveFinalizer(), after=None)


def restore_target_first(ctx: RuleContext) -> Plan | None:
    """Roll a rolling target back while the canary still serves the traffic."""
    release, target, canary = ctx.status.release, ctx.snap.target, ctx.snap.canary
    if release is None or release.unhold_at is None or release.rolled or target is None:
        return None
    carries = canary is not None and canary.ready > 0 and ctx.status.weight > 0
    stable = ctx.status.stable_hash
    if not carries or stable is None or ctx.is_over(TimeLimit.DELETION_ROLL):
        return None
    if target.template != stable:
        return _wait_in_deletion(
            ctx, RestoreTemplate(stable, roll=True), confirmed_at=release.confirmed_at
        )
    if target.running != stable:
        return _wait_in_deletion(ctx, confirmed_at=release.confirmed_at)
    return None


def restore_route_first(ctx: RuleContext) -> Plan | None:
    """Restore the route that the user wrote."""
    route = ctx.snap.route
    if route is None:
        return None
    if not route.at_rest:
        return _wait_in_deletion(ctx, RestoreRoute())
    if ctx.status.release is None or ctx.snap.canary is None or ctx.settled:
        return None
    confirmed_at = (ctx.release.confirmed_at or ctx.now) if route.confirmed else None
    return _wait_in_deletion(ctx, confirmed_at=confirmed_at)


def restore_vetted_template(ctx: RuleContext) -> Plan | None:
    """Restore the vetted template while the target is still paused: no pod restarts."""
    target, template = ctx.snap.target, select_vetted_template(ctx.status)
    if target is None or template is None or target.template == template or target.stable_lost:
        return None
    return _wait_in_deletion(ctx, RestoreTemplate(template), confirmed_at=_confirmed_at(ctx))


def delete_canary(ctx: RuleContext) -> Plan | None:
    """Delete the canary's objects."""
    if ctx.snap.canary is None:
        return None
    return _wait_in_deletion(
        ctx, DeleteCanary(), UnpinMinReplicas(), confirmed_at=_confirmed_at(ctx)
    )


def release_target(ctx: RuleContext) -> Plan:
    """Unmanage the Deployment; it keeps the record of a rejected template."""
    release = ctx.status.release
    actions: list[Action] = [UnpinMinReplicas(), UnmanageTarget(), RemoveFinalizer()]
    failing = release is not None and release.failed is not None and ctx.snap.target is not None
    if failing and (rejection := rejection_of(ctx)) is not None:
        actions.insert(0, NoteRejection(rejection))
    return ctx.plan(Reason.DELETED, *actions, after=None)


TERMINATE: tuple[Rule, ...] = (
    give_up_cleanup,
    leave_unadopted_target,
    restore_target_first,
    restore_route_first,
    restore_vetted_template,
    delete_canary,
    release_target,
)
