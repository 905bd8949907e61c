"""Takes traffic from canary pods that are not ready, whatever the metrics say.

A gateway answers 503 for a backend without endpoints, and neither the pods nor the router's backend
count those requests. So these rules read only readiness and the route.

Example, with 4 stable pods and a step of 50 % that 2 canary pods carry:

    2 of 2 ready  -> 50 %
    1 of 2 ready  -> 25 %, and 50 % again once both are ready
    0 of 2 ready  ->  0 %; 50 % again if one is ready within the tolerated incident; after that,
                      or for the third time in the step, the release is rolled back
"""

from dataclasses import replace

from canary.api import Intent, Reason
from canary.core.plan import EnsureCanary, PinMinReplicas, Plan, SetWeight
from canary.core.rollout.context import POLL, SOON, RuleContext, canary_size
from canary.core.rollout.rollback import roll_back
from canary.core.rollout.time_limits import TimeLimit
from canary.core.snapshot import Canary, carried_weight
from canary.text.format import human_duration

MAX_OUTAGES = 3
"""Times without a ready pod in one step after which the release is rolled back."""
CLOCK_SKEW = 5.0
"""Seconds that a node's clock may be ahead of the operator's."""


def canary_unready(ctx: RuleContext) -> Plan | None:
    """Set weight 0 in this pass if no canary pod is ready."""
    since = ctx.release.unready_since
    if _count_ready_pods(ctx) > 0:
        if since is None:
            return None
        return ctx.wait(Reason.CANARY_NOT_READY, after=SOON, unready_since=None)
    if since is None:
        return _start_outage(ctx, ctx.now) if _has_traffic(ctx) else None
    lost = _last_ready_pod_lost_at(ctx)
    if lost is not None and lost > since + CLOCK_SKEW:
        return _start_outage(ctx, lost)
    if ctx.is_over(TimeLimit.OUTAGE):
        waited = human_duration(ctx.seconds_waited(TimeLimit.OUTAGE))
        message = f"No canary pod was ready for {waited}."
        return roll_back(ctx, Reason.CANARY_OUTAGE, message=message)
    return None


def _last_ready_pod_lost_at(ctx: RuleContext) -> float | None:
    """Return when the last pod stopped being ready, as the pods themselves report it.

    A pass may have missed that pods became ready in between, while the operator was restarting or
    starved. That is a new outage, and not one since the last pass:

        12:00:00  no pod is ready; the operator sets weight 0 and is killed
        12:00:05  all pods are ready again
        12:01:10  no pod is ready
        12:01:12  the operator is back: no pod has been ready for 2 s, not for 72 s
    """
    canary = ctx.snap.canary
    times = [] if canary is None else [pod.lost_ready_at for pod in canary.pods]
    return max((at for at in times if at is not None), default=None)


def _start_outage(ctx: RuleContext, since: float) -> Plan:
    outages = ctx.release.outages + 1
    lost = {"unready_since": since, "outages": outages, "errors_unknown": True}
    if outages >= MAX_OUTAGES:
        message = "No canary pod was ready, for the third time in this step."
        return _with_release(roll_back(ctx, Reason.CANARY_OUTAGE, message=message), **lost)
    limit = human_duration(ctx.spec.analysis.tolerated_incident)
    message = f"No canary pod is ready: stable has all of the traffic. Rollback in {limit}."
    return _lower_weight(ctx, 0, message, **lost)


def canary_overloaded(ctx: RuleContext) -> Plan | None:
    """Lower the weight to what the ready canary pods carry.

    This applies only while stable has ready pods: during a `Recreate` rollout it has none.
    """
    target, route = ctx.snap.target, ctx.snap.route
    if target is None or route is None or not any(pod.ready for pod in target.pods):
        return None
    carried = carried_weight(_count_ready_pods(ctx), ctx.release.replicas)
    if max(route.weight, ctx.status.weight) <= carried or not _has_traffic(ctx):
        return None
    canary = ctx.snap.canary
    pods = canary.replicas if canary is not None else 0
    message = f"{_count_ready_pods(ctx)} of {pods} canary pods are ready, which carry {carried} %."
    return _lower_weight(ctx, min(carried, ctx.status.weight), message)


def route_refused(ctx: RuleContext) -> Plan | None:
    """Set weight 0 in this pass if the router refuses a route that has weight."""
    route = ctx.snap.route
    if route is None or route.refused is None or not _has_traffic(ctx):
        return None
    lowered = _lower_weight(ctx, 0, route.refused, errors_unknown=True)
    return _with_reason(lowered, Reason.ROUTE_NOT_ACCEPTED)


def wait_for_acceptance(ctx: RuleContext) -> Plan | None:
    """Keep the weight while the router refuses the route, or has not confirmed it yet.

    After weight 0 was written to a refused route, the router needs a moment to report whether it
    refuses this one too.
    """
    route = ctx.snap.route
    if route is None:
        return None
    if route.refused is not None:
        return ctx.wait(Reason.ROUTE_NOT_ACCEPTED, message=route.refused)
    if route.confirmed or ctx.status.weight >= _wanted_weight(ctx):
        return None
    if ctx.status.reason is Reason.ROUTE_NOT_ACCEPTED:
        return ctx.wait(Reason.ROUTE_NOT_ACCEPTED, message=ctx.last_message)
    return ctx.wait(Reason.SHIFTING_TRAFFIC, message=route.detail)


def update_canary_service(ctx: RuleContext) -> Plan | None:
    """Give the canary's Service the ports of the user's Service when they change."""
    canary = ctx.snap.canary
    if canary is None or canary.follows_service or canary.template != ctx.release.template:
        return None
    return ctx.wait(ctx.status.reason, EnsureCanary(canary.template, canary.replicas))


def follow_stable_growth(ctx: RuleContext) -> Plan | None:
    """Scale the canary and the autoscaler's minimum up if stable got more pods.

    The release uses the larger number once the canary has enough pods, so growth alone never lowers
    the weight.
    """
    target, canary = ctx.snap.target, ctx.snap.canary
    if target is None or canary is None or target.replicas <= ctx.release.replicas:
        return None
    if canary.template != ctx.release.template or canary.replicas == 0:
        return None
    wanted = canary_size(ctx.spec, target.replicas, _wanted_weight(ctx))
    keep = PinMinReplicas(target.replicas)
    if canary.replicas < wanted:
        return ctx.wait(ctx.status.reason, keep, EnsureCanary(canary.template, wanted))
    if canary.ready < wanted:
        return None
    return ctx.wait(ctx.status.reason, keep, after=SOON, replicas=target.replicas)


def restore_stable_capacity(ctx: RuleContext) -> Plan | None:
    """Raise the autoscaler's minimum again if manifests applied by the user reset it.

    The autoscaler then adds the pods again. Without an autoscaler the user sets the number of pods.
    """
    target, wanted = ctx.snap.target, ctx.release.replicas
    if target is None or target.floor is None or max(target.replicas, target.floor) >= wanted:
        return None
    message = (
        f"Stable has {target.replicas} of {wanted} pods: raising the autoscaler's minReplicas."
    )
    return ctx.wait(ctx.status.reason, PinMinReplicas(wanted), message=message)


def wait_for_all_pods(ctx: RuleContext) -> Plan | None:
    """Wait until all canary pods are ready, although the ready ones carry the weight."""
    canary = ctx.snap.canary
    if canary is None or canary.ready >= canary.replicas:
        return None
    return wait_for_pods(ctx, canary)


def wait_for_pods(ctx: RuleContext, canary: Canary) -> Plan:
    """Wait until all pods are ready or `progressDeadline` is over.

    The message explains the delay.
    """
    message = f"{canary.ready} of {canary.replicas} canary pods are ready. {canary.not_created}"
    since = ctx.release.scaling_since or ctx.now
    return ctx.wait(Reason.CANARY_NOT_READY, message=message.strip(), scaling_since=since)


def end_pod_wait(ctx: RuleContext) -> Plan | None:
    """End the wait for pods once all are ready."""
    canary = ctx.snap.canary
    waits = ctx.release.scaling_since is not None and ctx.release.judged_from is not None
    if not waits or canary is None or not 0 < canary.replicas <= canary.ready:
        return None
    return ctx.wait(ctx.status.reason, after=SOON, message=ctx.last_message, scaling_since=None)


def _wanted_weight(ctx: RuleContext) -> int:
    """Return the weight that the current step or the promotion requires (percent)."""
    return 100 if ctx.status.intent is Intent.PROMOTE else ctx.step.weight


def _count_ready_pods(ctx: RuleContext) -> int:
    return ctx.snap.canary.ready if ctx.snap.canary is not None else 0


def _has_traffic(ctx: RuleContext) -> bool:
    """Return whether the canary has, or will have, traffic that weight 0 would remove.

    Without a router the Service itself sends no requests to pods that are not ready.
    """
    route = ctx.snap.route
    if route is None or ctx.spec.traffic.replicas is not None:
        return False
    return route.weight > 0 or ctx.status.weight > 0


def _lower_weight(ctx: RuleContext, weight: int, message: str, **on: object) -> Plan:
    """Lower the weight: in the route first, then in the status."""
    release = ctx.release.model_copy(update={"confirmed_at": None, **on})
    return ctx.plan(
        Reason.CANARY_NOT_READY,
        SetWeight(weight),
        after=POLL,
        message=message,
        weight=weight,
        step_started_at=None,
        release=release,
    )


def _with_release(plan: Plan, **on: object) -> Plan:
    release = plan.status.release
    changed = release.model_copy(update=on) if release is not None else None
    status = plan.status.model_copy(update={"release": changed})
    return replace(plan, status=status)


def _with_reason(plan: Plan, reason: Reason) -> Plan:
    status = plan.status.model_copy(update={"reason": reason})
    return replace(plan, status=status)
