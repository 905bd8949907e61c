"""Rules without a release in progress: adopt the target, keep it paused, start releases."""

from dataclasses import replace
from typing import Any

from canary.api import EarlierStable, HistoryEntry, Intent, Reason, Release, Skip
from canary.core.plan import (
    Action,
    NoteRejection,
    PauseTarget,
    PinMinReplicas,
    Plan,
    RemoveFinalizer,
    RestoreTemplate,
)
from canary.core.rollout.commands import build_override
from canary.core.rollout.context import (
    POLL,
    Rule,
    RuleContext,
    describe_lost_stable,
    describe_override,
)
from canary.core.rollout.rollback import roll_back
from canary.core.snapshot import Obstacle, Rejection, TargetDeployment, Verb
from canary.text.format import format_date_time, rough_duration

LASTING_REASONS = {
    Reason.ADOPTED,
    Reason.PROMOTED,
    Reason.ROLLED_OUT_WITHOUT_CANARY,
    Reason.UNPAUSED_BY_HAND,
    Reason.RETURNED_TO_STABLE,
    Reason.RESTARTED,
    Reason.UNDONE,
}
"""Reasons that stay in the status until something else happens."""


def require_target(ctx: RuleContext) -> TargetDeployment:
    """Return the target. Raises LookupError without one; `target_missing` runs before."""
    if ctx.snap.target is None:
        raise LookupError("expected a target for this rule, found none")
    return ctx.snap.target


def target_missing(ctx: RuleContext) -> Plan | None:
    """Wait for a target that does not exist; the traffic does not change."""
    if ctx.snap.target is not None:
        return None
    name = ctx.spec.target.name
    return ctx.plan(
        Reason.TARGET_NOT_FOUND,
        after=ctx.spec.analysis.interval,
        message=f"Deployment {name} does not exist in namespace {ctx.snap.resource.namespace}.",
    )


def route_missing(ctx: RuleContext) -> Plan | None:
    """Wait for a route that does not exist."""
    if ctx.snap.route is not None:
        return None
    return ctx.plan(Reason.ROUTE_NOT_FOUND, after=ctx.spec.analysis.interval)


def report_obstacle(ctx: RuleContext) -> Plan | None:
    """Report the obstacle that keeps releases from starting, even before there is a template."""
    found = require_target(ctx).obstacle
    if found is None or _is_overruled(found, ctx):
        return None
    return ctx.plan(found.reason, after=ctx.spec.analysis.interval, message=found.message)


def _is_overruled(found: Obstacle, ctx: RuleContext) -> bool:
    """Return whether a person releases a version that fixes the obstacle (the Service's port)."""
    override = build_override(ctx.request, ctx.now)
    skips = override is not None and override.skip is Skip.ANALYSIS
    return found.reason is Reason.SERVICE_SELECTS_NO_POD and skips


def report_target_taken(ctx: RuleContext) -> Plan | None:
    """Do not change a target that another CanaryRelease manages."""
    found = require_target(ctx).obstacle
    return (
        report_obstacle(ctx) if found is not None and found.reason is Reason.TARGET_TAKEN else None
    )


def adopt_target(ctx: RuleContext) -> Plan | None:
    """Adopt the template that all pods run as stable; never during a rollout."""
    if ctx.status.stable_hash is not None:
        return None
    target = require_target(ctx)
    if target.running is None:
        return ctx.plan(Reason.TARGET_NOT_STABLE, after=POLL)
    rejected = target.rejection.template if target.rejection is not None else None
    return ctx.plan(
        Reason.ADOPTED,
        PauseTarget(target.running),
        stable_hash=target.running,
        rejected_hash=rejected,
    )


def accept_rejected(ctx: RuleContext) -> Plan | None:
    """Accept the running version as stable on command, although it was rolled back before."""
    request, target = ctx.request, require_target(ctx)
    if ctx.status.stable_hash is not None or target.rejection is None or request is None:
        return None
    override = build_override(request, ctx.now)
    skips = override is not None and override.skip is Skip.ANALYSIS
    if request.verb is not Verb.RETRY and not skips:
        return None
    forget, by = NoteRejection(None), request.by or "A person"
    if target.running is None:
        return ctx.plan(Reason.TARGET_NOT_STABLE, forget, after=POLL, rejected_hash=None)
    why = f": {request.reason}" if request.reason else ""
    return ctx.plan(
        Reason.ADOPTED,
        forget,
        PauseTarget(target.running),
        message=f"{by} accepted template {target.running}, which was rolled back before{why}.",
        stable_hash=target.running,
        rejected_hash=None,
    )


def adopt_beside_rejected(ctx: RuleContext) -> Plan | None:
    """Accept another version as stable that runs beside a rejected one.

    The Deployment stores the rejected template even if its CanaryRelease is deleted. If pods of
    exactly one other version are ready, that version becomes stable: the rejected template is
    paused, or rolled back if its rollout has begun. If no other version runs, there is no version
    to return to, and nothing is changed.
    """
    target = require_target(ctx)
    rejection = target.rejection
    if ctx.status.stable_hash is not None or rejection is None:
        return None
    if not {target.template, target.running} & target.rejected:
        return None
    stable = target.other_ready
    if stable is None or stable in target.rejected:
        message = _runs_rejected(ctx, rejection)
        rejected = target.template if target.running is None else target.running
        return ctx.plan(Reason.REJECTED, after=None, message=message, rejected_hash=rejected)
    return ctx.plan(
        Reason.REJECTED,
        PauseTarget(stable) if target.running == stable else RestoreTemplate(stable),
        message=_rejected_before(rejection),
        stable_hash=stable,
        rejected_hash=target.template,
    )


def _rejected_before(rejection: Rejection) -> str:
    return (
        f"Template {rejection.template} was rolled back before ({rejection.reason}, "
        f"{format_date_time(rejection.at)}); another template, or a retry, starts a release."
    )


def _runs_rejected(ctx: RuleContext, rejection: Rejection) -> str:
    """Describe what to do if only a rejected version runs."""
    name = ctx.spec.target.name
    return (
        f"Deployment {name} runs template {rejection.template}, which was rolled back before "
        f"({rejection.reason}, {format_date_time(rejection.at)}), so it does not become stable, "
        "and there is not exactly one other running version. Apply the manifests of another "
        "version: it rolls out by the Deployment's own strategy and becomes stable once all "
        f"pods run it. Or accept this one: canary retry {ctx.snap.resource.name}."
    )


def note_rejection(ctx: RuleContext) -> Plan | None:
    """Record the rejected template on the Deployment, and remove an outdated record.

    If another template waits, starting its release removes the record.
    """
    rejected, target = ctx.status.rejected_hash, require_target(ctx)
    noted = target.rejection.template if target.rejection is not None else None
    starts = rejected is None and target.template != ctx.status.stable_hash
    if noted == rejected or starts:
        return None
    entry = _find_history_entry(ctx, rejected)
    reason, at = (entry.reason, entry.ended_at) if entry else (Reason.REJECTED, ctx.now)
    rejection = None if rejected is None else Rejection(rejected, reason, at)
    return ctx.plan(ctx.status.reason, NoteRejection(rejection), message=ctx.last_message)


def canary_left_over(ctx: RuleContext) -> Plan | None:
    """Roll back a canary whose release the status does not know.

    So a lost or unreadable status never leaves traffic on a canary that is not analyzed.
    """
    canary, route = ctx.snap.canary, ctx.snap.route
    traffic = route is not None and route.weight > 0 and not route.at_rest
    if canary is None and not traffic:
        return None
    target = require_target(ctx)
    template = target.template if canary is None else canary.template
    release = Release(template=template, started_at=ctx.now, replicas=target.replicas)
    status = ctx.status.model_copy(update={"release": release})
    return roll_back(replace(ctx, status=status), Reason.STATUS_UNREADABLE)


def accept_finished_rollout(ctx: RuleContext) -> Plan | None:
    """Accept a template that already runs on all pods as stable.

    A template that was rolled back is not accepted: the stable one is restored.
    """
    target = require_target(ctx)
    known = target.rejected | {ctx.status.stable_hash}
    if target.held or target.running != target.template or target.running in known:
        return None
    return ctx.plan(
        Reason.ROLLED_OUT_WITHOUT_CANARY, PauseTarget(target.running), stable_hash=target.running
    )


def report_stable_lost(ctx: RuleContext) -> Plan | None:
    """Report a lost stable version until one template runs on all pods again."""
    target = require_target(ctx)
    if not target.stable_lost:
        return None
    return ctx.plan(Reason.STABLE_LOST, after=POLL, message=describe_lost_stable(ctx))


def revert_unvetted_rollout(ctx: RuleContext) -> Plan | None:
    """Restore the vetted template if an unvetted one rolls out; only unvetted pods are replaced."""
    target, stable = require_target(ctx), ctx.status.stable_hash
    if target.held or target.template == stable or stable is None:
        return None
    if target.stable_lost:
        return report_stable_lost(ctx)
    return ctx.plan(Reason.UNPAUSED_BY_HAND, RestoreTemplate(stable), after=POLL)


def pause_target_again(ctx: RuleContext) -> Plan | None:
    """Pause the target, so that the next template does not roll out by itself."""
    stable = ctx.status.stable_hash
    if require_target(ctx).held or stable is None:
        return None
    return ctx.plan(ctx.status.reason, PauseTarget(stable), message=ctx.last_message)


def update_finalizer(ctx: RuleContext) -> Plan | None:
    """Set the finalizer only if a deletion has something to restore.

    A paused target must be resumed. With an admission policy nothing needs restoring, because the
    policy depends on the resource.
    """
    stable, target, resource = ctx.status.stable_hash, require_target(ctx), ctx.snap.resource
    if stable is None or target.paused is resource.finalizer:
        return None
    action = PauseTarget(stable) if target.paused else RemoveFinalizer()
    return ctx.plan(ctx.status.reason, action, message=ctx.last_message)


def stay_idle(ctx: RuleContext) -> Plan | None:
    """Stay idle while the vetted version runs."""
    if require_target(ctx).template != ctx.status.stable_hash:
        return None
    last = _find_history_entry(ctx, ctx.status.rejected_hash)
    if last is not None and last.put_back:
        # The vetted version was restored after a failed rollout or bake, and no person acted since:
        # a retry or another template would have removed the rejected template. After other
        # rollbacks the rejected template stays in the paused target, so here a person returned to
        # the vetted one.
        return ctx.plan(last.reason, after=None, message=last.message)
    if ctx.status.reason in LASTING_REASONS:
        return ctx.plan(ctx.status.reason, after=None, message=ctx.last_message)
    return ctx.plan(Reason.AT_REST, after=None)


def report_rejected(ctx: RuleContext) -> Plan | None:
    """Report a rejected template; it does not start a release again by itself."""
    if require_target(ctx).template != ctx.status.rejected_hash:
        return None
    entry = _find_history_entry(ctx, ctx.status.rejected_hash)
    if entry is None:
        noted = require_target(ctx).rejection
        message = _rejected_before(noted) if noted is not None else ""
        return ctx.plan(Reason.REJECTED, after=None, message=message)
    return ctx.plan(entry.reason, after=None, message=entry.message)


def _find_history_entry(ctx: RuleContext, template: str | None) -> HistoryEntry | None:
    """Return the history entry of the last release of this template; None without one."""
    return next((entry for entry in ctx.status.history if entry.template == template), None)


def stay_suspended(ctx: RuleContext) -> Plan | None:
    """Start no release while the spec suspends them."""
    return ctx.plan(Reason.SUSPENDED, after=None) if ctx.spec.suspend else None


def wait_for_replicas(ctx: RuleContext) -> Plan | None:
    """Wait until the target has replicas: without traffic there is nothing to compare."""
    if require_target(ctx).replicas > 0:
        return None
    return ctx.plan(Reason.TARGET_SCALED_TO_ZERO, after=ctx.spec.analysis.interval)


def list_earlier_templates(ctx: RuleContext) -> tuple[EarlierStable, ...]:
    """Return the templates that were stable within the rollback window, the newest first."""
    window = ctx.spec.rollback_window
    recent = ctx.status.earlier_stable[: window.releases]
    return tuple(one for one in recent if ctx.now - one.until <= window.within)


def undo_promotion(ctx: RuleContext) -> Plan | None:
    """Return to an earlier stable version on command; the current one is rejected."""
    request, stable = ctx.request, ctx.status.stable_hash
    if request is None or request.verb is not Verb.UNDO or stable is None:
        return None
    known = [one.template for one in ctx.status.earlier_stable]
    to = request.to or next(iter(known), None)
    if to not in known:
        return None
    target = require_target(ctx)
    message = f"{request.by or 'A person'} rolled back from template {stable} to {to}."
    release = Release(
        template=stable,
        started_at=ctx.now,
        replicas=target.replicas,
        failed=Reason.UNDONE,
        message=message,
        unhold_at=ctx.now,
    )
    return _begin_release(
        ctx,
        Reason.UNDONE,
        release,
        message=message,
        intent=Intent.ROLL_BACK,
        stable_hash=to,
        earlier_stable=tuple(one for one in ctx.status.earlier_stable if one.template != to),
    )


def restart_stable(ctx: RuleContext) -> Plan | None:
    """Restart the pods of the vetted template on command."""
    request, target = ctx.request, require_target(ctx)
    if request is None or request.verb is not Verb.RESTART:
        return None
    if target.template != ctx.status.stable_hash:
        return None
    message = f"{request.by or 'A person'} restarted the pods of the stable version."
    release = Release(
        template=target.template,
        started_at=ctx.now,
        replicas=target.replicas,
        message=message,
        unhold_at=ctx.now,
        direct=Reason.RESTARTED,
        restart=True,
    )
    return _begin_release(ctx, Reason.RESTARTING, release, message=message, intent=Intent.PROMOTE)


def start_without_analysis(ctx: RuleContext) -> Plan | None:
    """Release the template without analysis on command, even a rejected one."""
    override, target = build_override(ctx.request, ctx.now), require_target(ctx)
    wanted = override is not None and override.skip is Skip.ANALYSIS
    if not wanted or target.template == ctx.status.stable_hash or target.replicas == 0:
        return None
    release = Release(
        template=target.template,
        started_at=ctx.now,
        replicas=target.replicas,
        override=override,
    )
    return _begin_release(
        ctx,
        Reason.ANALYSIS_SKIPPED,
        release,
        PinMinReplicas(target.replicas),
        message=describe_override(release),
        intent=Intent.PROMOTE,
    )


def return_to_stable(ctx: RuleContext) -> Plan | None:
    """Roll out a template that was stable within the rollback window without steps."""
    target = require_target(ctx)
    known = next(
        (one for one in list_earlier_templates(ctx) if one.template == target.template), None
    )
    if known is None:
        return None
    ago = rough_duration(ctx.now - known.until)
    message = f"Template {known.template} was stable until {ago} ago: no steps needed."
    release = Release(
        template=target.template,
        started_at=ctx.now,
        replicas=target.replicas,
        message=message,
        unhold_at=ctx.now,
        direct=Reason.RETURNED_TO_STABLE,
    )
    return _begin_release(
        ctx, Reason.RETURNING_TO_STABLE, release, message=message, intent=Intent.PROMOTE
    )


def start_release(ctx: RuleContext) -> Plan:
    """Start a release for a new template."""
    target = require_target(ctx)
    release = Release(template=target.template, started_at=ctx.now, replicas=target.replicas)
    capacity = PinMinReplicas(target.replicas)
    return _begin_release(ctx, Reason.STARTED, release, capacity, intent=Intent.ADVANCE)


def _begin_release(
    ctx: RuleContext,
    reason: Reason,
    release: Release,
    *actions: Action,
    message: str = "",
    **changes: Any,  # noqa: ANN401 - fields of the status, as in Context.plan
) -> Plan:
    """Begin a release: status and target keep nothing of the previous one."""
    forget = (NoteRejection(None),) if require_target(ctx).rejection is not None else ()
    return ctx.plan(
        reason,
        *forget,
        *actions,
        message=message,
        release=release,
        step=0,
        weight=0,
        step_started_at=None,
        bake_started_at=None,
        rejected_hash=None,
        judged_until=None,
        judge=None,
        analysis=(),
        verdict=None,
        **changes,
    )


REST: tuple[Rule, ...] = (
    target_missing,
    report_target_taken,
    accept_rejected,
    adopt_beside_rejected,
    adopt_target,
    canary_left_over,
    accept_finished_rollout,
    revert_unvetted_rollout,
    pause_target_again,
    update_finalizer,
    note_rejection,
    undo_promotion,
    report_obstacle,
    restart_stable,
    stay_idle,
    start_without_analysis,
    report_stable_lost,
    report_rejected,
    stay_suspended,
    wait_for_replicas,
    return_to_stable,
    route_missing,
    start_release,
)
