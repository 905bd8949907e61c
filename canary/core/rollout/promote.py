"""Promotes a release: the canary serves all traffic while the target rolls out."""

from canary.api import (
    CheckMoment,
    EarlierStable,
    Intent,
    Reason,
    Release,
    Result,
    Skip,
    Status,
    Verdict,
)
from canary.core.due_checks import select_due_checks
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    Plan,
    RestartTarget,
    RestoreRoute,
    RestoreTemplate,
    ResumeTarget,
    RunChecks,
    SetWeight,
    UnpinMinReplicas,
)
from canary.core.rollout.advance import roll_back_not_isolated, wait_for_judge
from canary.core.rollout.context import Rule, RuleContext, describe_override, is_skipped
from canary.core.rollout.idle import route_missing
from canary.core.rollout.protect import (
    PROTECT,
    canary_broken,
    correct_foreign_weight,
    metric_failed,
    never_ready,
)
from canary.core.rollout.readiness import (
    canary_overloaded,
    canary_unready,
    end_pod_wait,
    follow_stable_growth,
    restore_stable_capacity,
    route_refused,
    update_canary_service,
    wait_for_acceptance,
    wait_for_pods,
)
from canary.core.rollout.rollback import roll_back
from canary.core.rollout.time_limits import TimeLimit
from canary.core.snapshot import Canary

MAX_EARLIER_STABLE = 10
"""Number of earlier stable templates to keep: the maximum of a rollback window."""
FULL_WEIGHT = 100
"""Weight (percent) at which the canary serves all traffic."""


def _before_rolling(rule: Rule) -> Rule:
    def asked(ctx: RuleContext) -> Plan | None:
        return rule(ctx) if ctx.release.unhold_at is None else None

    return asked


def _until_rolled(rule: Rule) -> Rule:
    def asked(ctx: RuleContext) -> Plan | None:
        return None if ctx.release.rolled else rule(ctx)

    return asked


def _with_canary(rule: Rule) -> Rule:
    """Apply the rule until the target's rollout, in releases with a canary."""

    def asked(ctx: RuleContext) -> Plan | None:
        return None if ctx.release.rolled or ctx.release.direct is not None else rule(ctx)

    return asked


def not_isolated_while_held(ctx: RuleContext) -> Plan | None:
    """Roll back if another Service selects canary pods, until the target's rollout.

    After it the target's own pods run the version, so a rollback would do more harm. If a person
    skipped the analysis, the version will get all traffic anyway.
    """
    return None if is_skipped(ctx, Skip.ANALYSIS) else roll_back_not_isolated(ctx)


def scale_to_full_size(ctx: RuleContext) -> Plan | None:
    """Scale the canary to as many pods as stable has before the target rolls."""
    canary, wanted = ctx.snap.canary, ctx.release.replicas
    if canary is None or canary.replicas < wanted:
        action = EnsureCanary(ctx.release.template, wanted)
        return ctx.wait(Reason.CANARY_NOT_READY, action, scaling_since=ctx.now)
    rolling = ctx.release.unhold_at is not None and ctx.status.weight == FULL_WEIGHT
    if canary.ready < canary.replicas and not rolling:
        return wait_for_pods(ctx, canary)
    if (
        ctx.release.judged_from is None
    ):  # Although the analysis is skipped, an outage in the metrics still rolls back.
        return ctx.wait(Reason.CANARY_NOT_READY, after=0, judged_from=ctx.now, scaling_since=None)
    return None


def record_full_weight(ctx: RuleContext) -> Plan | None:
    """Write the full weight to the status first, as with every rise."""
    if ctx.status.weight == FULL_WEIGHT:
        return None
    release = ctx.release.model_copy(update={"confirmed_at": None, "peak_weight": FULL_WEIGHT})
    return ctx.plan(
        Reason.SHIFTING_TRAFFIC, weight=FULL_WEIGHT, step_started_at=None, release=release
    )


def shift_everything(ctx: RuleContext) -> Plan | None:
    """Send all traffic to the canary, so that no request meets a terminating pod."""
    route = ctx.snap.route
    if route is None or (route.least == FULL_WEIGHT and ctx.settled):
        return None
    if route.least != FULL_WEIGHT:
        # While the target rolls out, a weight written by another client is not corrected.
        theirs = ctx.release.unhold_at is not None and ctx.release.confirmed_at is not None
        write = SetWeight(FULL_WEIGHT)
        rise = ctx.wait(Reason.SHIFTING_TRAFFIC, write, message=route.detail, confirmed_at=None)
        return None if theirs else rise
    confirmed_at = (ctx.release.confirmed_at or ctx.now) if route.confirmed else None
    return ctx.wait(Reason.SHIFTING_TRAFFIC, message=route.detail, confirmed_at=confirmed_at)


def record_roll(ctx: RuleContext) -> Plan:
    """Record the rollout first, so that a resumed target is known to be canary's doing."""
    return ctx.wait(Reason.ROLLING_TARGET, after=0, unhold_at=ctx.now)


def restart_pods(ctx: RuleContext) -> Plan | None:
    """Write the restart annotation; the resulting template is the vetted one.

    The next rule handles a template that somebody applied meanwhile.
    """
    target, stable = ctx.snap.target, ctx.status.stable_hash
    if not ctx.release.restart or target is None or stable is None:
        return None
    if target.template == stable:
        action = RestartTarget(stable, ctx.release.started_at)
        return ctx.wait(Reason.RESTARTING, action, after=0)
    template = target.template if target.restart_of == stable else stable
    return ctx.wait(Reason.RESTARTING, after=0, template=template, restart=False)


def restore_released_template(ctx: RuleContext) -> Plan | None:
    """Restore the released template if an unvetted one was applied during the roll."""
    target, template = ctx.snap.target, ctx.release.template
    if target is None or target.template == template:
        return None
    message = "A newer template was applied during the rollout and was reverted: apply it again."
    return ctx.wait(Reason.ROLLING_TARGET, RestoreTemplate(template, roll=True), message=message)


def detect_roll_end(ctx: RuleContext) -> Plan | None:
    """Detect that the roll is complete, or roll back after `progressDeadline`."""
    target, template, since = ctx.snap.target, ctx.release.template, ctx.release.unhold_at
    if target is None or since is None:
        return None
    if target.running == template and target.template == template:
        return ctx.wait(Reason.RESTORING_ROUTE, after=0, rolled=True)
    if not target.held and ctx.is_over(TimeLimit.TARGET_ROLL):
        return roll_back(ctx, Reason.ROLL_FAILED)
    return None


def roll_target(ctx: RuleContext) -> Plan:
    """Resume the target, which replaces its pods by its own strategy."""
    target = ctx.snap.target
    if target is not None and target.held:
        return ctx.wait(Reason.ROLLING_TARGET, ResumeTarget(ctx.release.template))
    return ctx.wait(Reason.ROLLING_TARGET)


def restore_route(ctx: RuleContext) -> Plan | None:
    """Restore the route that the user wrote, and wait until the router has confirmed it."""
    route = ctx.snap.route
    if route is None or (route.at_rest and ctx.status.weight == 0 and ctx.settled):
        return None
    if not route.at_rest or ctx.status.weight != 0:
        release = ctx.release.model_copy(update={"confirmed_at": None})
        return ctx.plan(
            Reason.RESTORING_ROUTE, RestoreRoute(), weight=0, release=release, after=0.2
        )
    confirmed_at = (ctx.release.confirmed_at or ctx.now) if route.confirmed else None
    return ctx.wait(Reason.RESTORING_ROUTE, confirmed_at=confirmed_at)


def wait_for_drain(ctx: RuleContext) -> Plan | None:
    """Keep the canary's pods until they get no more requests.

    A Service created during the rollout may send them requests for ever, so the wait is limited as
    in a rollback.
    """
    canary = ctx.snap.canary
    if canary is None or not ctx.judged.canary_busy:
        return None
    if canary.selected_by and ctx.is_over(TimeLimit.DRAIN):
        return None
    return ctx.wait(Reason.DRAINING, message=_describe_lost_endpoints(canary))


def delete_canary(ctx: RuleContext) -> Plan | None:
    """Delete the canary: the target runs the new version."""
    canary = ctx.snap.canary
    if canary is None:
        return None
    return ctx.wait(
        Reason.DRAINING,
        DeleteCanary(),
        UnpinMinReplicas(),
        message=_describe_lost_endpoints(canary),
    )


def _describe_lost_endpoints(canary: Canary) -> str:
    """Describe the Services that lose endpoints with the canary; empty if there are none."""
    if not canary.selected_by:
        return ""
    return f"Service {canary.selected_by[0]} selects canary pods, which are about to be deleted."


def pause_target(ctx: RuleContext) -> Plan | None:
    """Pause the target again before the route is restored."""
    target = ctx.snap.target
    if target is None or target.held:
        return None
    return ctx.wait(Reason.RESTORING_ROUTE, PauseTarget(ctx.release.template))


def finish_promotion(ctx: RuleContext) -> Plan:
    """Record the new version as stable; with a bake time it is still monitored."""
    release, status = ctx.release, ctx.status
    reason, message = (
        release.direct or Reason.PROMOTED,
        release.message or describe_override(release),
    )
    entry = ctx.build_entry(Result.PROMOTED, reason, message)
    watched = ctx.spec.bake > 0 or bool(ctx.spec.checks_at(CheckMoment.AFTER_PROMOTION))
    bakes = watched and release.direct is None
    restarted = reason is Reason.RESTARTED
    earlier = status.earlier_stable if restarted else list_earlier_stable(status, release, ctx.now)
    target = ctx.snap.target
    forget = target is not None and target.rejection is not None
    return ctx.plan(
        reason,
        *((NoteRejection(None),) if forget else ()),
        message=message,
        earlier_stable=earlier,
        intent=Intent.BAKE if bakes else Intent.REST,
        bake_started_at=ctx.now if bakes else None,
        release=release if bakes else None,
        stable_hash=release.template,
        previous_hash=status.previous_hash if restarted else status.stable_hash,
        judge=status.judge if bakes else None,
        history=(entry, *status.history)[:10],
    )


def list_earlier_stable(status: Status, release: Release, now: float) -> tuple[EarlierStable, ...]:
    """Return the templates that were stable before `release`, the newest first."""
    if status.stable_hash is None:
        return status.earlier_stable
    left = EarlierStable(template=status.stable_hash, until=now)
    known = (left, *(one for one in status.earlier_stable if one.template != left.template))
    return tuple(one for one in known if one.template != release.template)[:MAX_EARLIER_STABLE]


BEFORE_ROLLING: tuple[Rule, ...] = (
    *PROTECT,
    not_isolated_while_held,
    end_pod_wait,
    never_ready,
    route_missing,
    correct_foreign_weight,
)
WHILE_ROLLING: tuple[Rule, ...] = (
    canary_broken,
    metric_failed,
    canary_unready,
    canary_overloaded,
    route_refused,
    restart_pods,
    restore_released_template,
    detect_roll_end,
)
CARRY_EVERYTHING: tuple[Rule, ...] = (
    update_canary_service,
    follow_stable_growth,
    restore_stable_capacity,
    scale_to_full_size,
    wait_for_acceptance,
    wait_for_judge,
    record_full_weight,
    shift_everything,
)
"""Rules until the target has rolled: they also replace pods lost during the roll."""

PROMOTE: tuple[Rule, ...] = (
    *(_before_rolling(rule) for rule in BEFORE_ROLLING),
    *(_until_rolled(rule) for rule in WHILE_ROLLING),
    *(_with_canary(rule) for rule in CARRY_EVERYTHING),
    _before_rolling(record_roll),
    _until_rolled(roll_target),
    pause_target,
    restore_route,
    wait_for_drain,
    delete_canary,
    finish_promotion,
)


def bake_failed(ctx: RuleContext) -> Plan | None:
    """Return to the previous version if a metric fails during the bake."""
    if not ctx.judged.failed:
        return None
    return go_back(ctx, ctx.judged.reason or Reason.ABOVE_LIMIT, ctx.judged.message)


def go_back(ctx: RuleContext, reason: Reason, message: str = "") -> Plan | None:
    """Roll back to the previous version by a rolling update; None without one.

    The status is written first. Otherwise a target with the previous version would look as if a
    person had applied it, and the next release would start.
    """
    previous = ctx.status.previous_hash
    if previous is None:
        return None
    release = ctx.release.model_copy(
        update={"failed": reason, "message": message, "unhold_at": ctx.now}
    )
    return ctx.plan(
        reason,
        message=message,
        intent=Intent.ROLL_BACK,
        release=release,
        stable_hash=previous,
    )


def end_superseded_bake(ctx: RuleContext) -> Plan | None:
    """End the bake if a new template was applied; that one starts a release."""
    target = ctx.snap.target
    if target is None or target.template == ctx.status.stable_hash:
        return None
    return ctx.plan(Reason.PROMOTED, intent=Intent.REST, release=None, judge=None)


def run_checks_after_promotion(ctx: RuleContext) -> Plan | None:
    """Run the checks after promotion; a failed one returns to the previous version."""
    due = select_due_checks(ctx.spec, ctx.status)
    if not due.checks:
        return None
    for check in ctx.snap.checks:
        if check.verdict is Verdict.FAIL:
            return go_back(ctx, Reason.CHECK_FAILED, f"Check {check.name} failed: {check.message}")
        if check.verdict in {Verdict.NO_DATA, Verdict.UNAVAILABLE}:
            message = f"Check {check.name} neither passed nor failed: {check.message}"
            return ctx.wait(Reason.BAKING, message=message, after=0, checked_after=True)
    done = [check for check in ctx.snap.checks if check.verdict is Verdict.PASS]
    if len(done) == len(due.checks):
        return ctx.wait(Reason.BAKING, after=0, checked_after=True)
    message = "The checks after promotion are running."
    return ctx.wait(Reason.BAKING, RunChecks(ctx.release.template), message=message)


def watch_bake(ctx: RuleContext) -> Plan | None:
    """Monitor the new version until the bake is over."""
    if ctx.status.bake_started_at is None or ctx.is_over(TimeLimit.BAKE):
        return None
    return ctx.await_sample(Reason.BAKING, ctx.judged.message, ctx.seconds_left(TimeLimit.BAKE))


def finish_bake(ctx: RuleContext) -> Plan:
    """Finish the bake."""
    return ctx.plan(
        Reason.PROMOTED, intent=Intent.REST, release=None, judge=None, bake_started_at=None
    )


BAKE: tuple[Rule, ...] = (
    end_superseded_bake,
    bake_failed,
    run_checks_after_promotion,
    watch_bake,
    finish_bake,
)
