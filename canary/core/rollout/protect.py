"""Protects users: the rules that take traffic away run before all others."""

from canary.api import Intent, Reason, Skip, Verdict
from canary.core.analysis.result import ReplacementVerdict
from canary.core.plan import Plan, RestoreTemplate, SetWeight
from canary.core.rollout.context import (
    Rule,
    RuleContext,
    describe_lost_stable,
    is_skipped,
    is_stable_lost,
)
from canary.core.rollout.readiness import canary_overloaded, canary_unready, route_refused
from canary.core.rollout.rollback import roll_back
from canary.core.rollout.time_limits import TimeLimit
from canary.core.snapshot import PodFailure, TargetDeployment
from canary.text.format import human_duration

MAX_CRASHES = 2
"""Restarts of one canary pod that count as a crash loop."""


def unpaused_by_hand(ctx: RuleContext) -> Plan | None:
    """Roll back if somebody resumed the target: pause it and restore the vetted template."""
    target, stable = ctx.snap.target, ctx.status.stable_hash
    if target is None or target.held or stable is None:
        return None
    alone = _canary_serves_alone(ctx, target)
    if is_stable_lost(ctx):
        message = describe_lost_stable(ctx)
        wait = ctx.wait(Reason.STABLE_LOST, message=message) if alone else None
        return wait or roll_back(ctx, Reason.STABLE_LOST, message=message)
    if alone and target.template == stable:
        message = "The stable version has no ready pods yet; until then the canary serves."
        return ctx.wait(Reason.STABLE_LOST, RestoreTemplate(stable), message=message)
    return roll_back(ctx, Reason.UNPAUSED_BY_HAND, RestoreTemplate(stable))


def _canary_serves_alone(ctx: RuleContext, target: TargetDeployment) -> bool:
    """Return whether only canary pods are ready; they then keep their weight."""
    canary = ctx.snap.canary
    serves = canary is not None and canary.ready > 0
    return serves and not any(pod.ready for pod in target.pods)


def template_changed(ctx: RuleContext) -> Plan | None:
    """Roll back if the template changed: the newer one starts at weight 0."""
    target = ctx.snap.target
    if target is None or target.template == ctx.release.template:
        return None
    return roll_back(ctx, Reason.TEMPLATE_CHANGED)


def canary_broken(ctx: RuleContext) -> Plan | None:
    """Roll back if canary pods crash or run out of memory, whatever the metrics say."""
    if ctx.snap.canary is None:
        return None
    for pod in ctx.snap.canary.pods:
        if pod.trouble is PodFailure.OUT_OF_MEMORY:
            message = f"Canary pod {pod.name} was killed: out of memory."
            return roll_back(ctx, Reason.OUT_OF_MEMORY, message=message)
        if pod.trouble is PodFailure.CRASH_LOOP or pod.restarts >= MAX_CRASHES:
            message = f"Canary pod {pod.name} crashes: restarted {pod.restarts} times."
            return roll_back(ctx, Reason.CRASH_LOOPING, message=message)
    return None


def metric_failed(ctx: RuleContext) -> Plan | None:
    """Roll back if a metric failed, whatever else is true.

    If a person skipped the analysis, only an outage counts.
    """
    if not ctx.judged.failed:
        return None
    if is_skipped(ctx, Skip.ANALYSIS) and ctx.judged.reason is not Reason.CANARY_OUTAGE:
        return None
    mixed = (
        ctx.judged.replacement is ReplacementVerdict.MIXED and ctx.status.intent is Intent.ADVANCE
    )
    if mixed and ctx.judged.reason is not Reason.CANARY_OUTAGE:
        return (
            None  # Neither version is healthy: `stable_unhealthy` keeps the weight and reports it.
        )
    return roll_back(ctx, ctx.judged.reason or Reason.ABOVE_LIMIT, message=ctx.judged.message)


def check_failed(ctx: RuleContext) -> Plan | None:
    """Roll back if a check failed."""
    if is_skipped(ctx, Skip.ANALYSIS):
        return None
    for check in ctx.snap.checks:
        if check.verdict is Verdict.FAIL:
            message = f"Check {check.name} failed: {check.message}"
            return roll_back(ctx, Reason.CHECK_FAILED, message=message)
    return None


def never_ready(ctx: RuleContext) -> Plan | None:
    """Roll back if canary pods do not become ready within `progressDeadline`."""
    canary = ctx.snap.canary
    if canary is None or canary.ready >= canary.replicas or not ctx.is_over(TimeLimit.CANARY_PODS):
        return None
    ready = f"{canary.ready} of {canary.replicas} canary pods became ready"
    message = f"{ready} in {human_duration(ctx.seconds_waited(TimeLimit.CANARY_PODS))}."
    if canary.not_created:
        message += f" {canary.not_created}"
    if any(pod.trouble is PodFailure.NO_IMAGE for pod in canary.pods):
        message += f" Once it can be pulled: canary retry {ctx.snap.resource.name}."
    return roll_back(ctx, Reason.NEVER_READY, message=message)


def correct_foreign_weight(ctx: RuleContext) -> Plan | None:
    """Correct a weight of another client once; the second time pause at weight 0."""
    route, release, meant = ctx.snap.route, ctx.release, ctx.status.weight
    # A lower weight before the confirmation is our own rise in progress; a higher one is not.
    if route is None or route.weight == route.least == meant:
        return None
    if release.confirmed_at is None and route.weight <= meant:
        return None
    writer = route.writer or "somebody else"
    wrong = route.weight if route.weight != meant else route.least
    message = f"{writer} set the weight to {wrong} % instead of {meant} %."
    message += f" {route.detail}." if route.detail else ""
    if release.rewrites > 0:
        return ctx.pause(
            Reason.CONTESTED,
            SetWeight(0),
            message=message,
            intent=Intent.ADVANCE,
            weight=0,
            step_started_at=None,
        )
    return ctx.wait(
        Reason.SHIFTING_TRAFFIC,
        SetWeight(min(meant, route.weight)),
        message=message,
        confirmed_at=None,
        rewrites=1,
    )


PROTECT: tuple[Rule, ...] = (
    unpaused_by_hand,
    template_changed,
    canary_broken,
    metric_failed,
    check_failed,
    canary_unready,
    canary_overloaded,
    route_refused,
)
"""The rules that take traffic away; they also run during promotion until the target rolls."""
