"""At rest: adopt the target, keep it held, and see the template that starts a release."""

from canary.api import HistoryEntry, Intent, Reason, Release, Result
from canary.core.plan import Hold, KeepCapacity, Plan, PutBack
from canary.core.rollout.context import POLL, Context, Rule
from canary.core.snapshot import Target

WORTH_KEEPING = {
    Reason.ADOPTED,
    Reason.PROMOTED,
    Reason.ROLLED_OUT_WITHOUT_CANARY,
    Reason.UNPAUSED_BY_HAND,
}
"""Still worth reading when nothing has happened since."""


def target_of(ctx: Context) -> Target:
    """The target; `target_missing` has answered before where there is none."""
    if ctx.snap.target is None:
        raise LookupError("this rule needs a target")
    return ctx.snap.target


def target_missing(ctx: Context) -> Plan | None:
    """Nothing can be decided about a target that is not there; traffic stays where it is."""
    if ctx.snap.target is not None:
        return None
    name = ctx.spec.target.name
    return ctx.plan(
        Reason.TARGET_NOT_FOUND,
        after=ctx.spec.analysis.interval,
        message=f"Deployment {name} does not exist in namespace {ctx.snap.wish.namespace}.",
    )


def route_missing(ctx: Context) -> Plan | None:
    """Without a route no weight can be written, and none must be guessed."""
    if ctx.snap.route is not None:
        return None
    return ctx.plan(Reason.ROUTE_NOT_FOUND, after=ctx.spec.analysis.interval)


def obstacle(ctx: Context) -> Plan | None:
    """Nothing starts where it could not end well; said already before there is a template."""
    found = target_of(ctx).obstacle
    if found is None:
        return None
    return ctx.plan(found.reason, after=ctx.spec.analysis.interval, message=found.message)


def taken(ctx: Context) -> Plan | None:
    """Another release guards this target: this one does not touch it."""
    found = target_of(ctx).obstacle
    return obstacle(ctx) if found is not None and found.reason is Reason.TARGET_TAKEN else None


def adopt(ctx: Context) -> Plan | None:
    """What runs everywhere becomes stable; never in the middle of a roll."""
    if ctx.status.stable_hash is not None:
        return None
    target = target_of(ctx)
    if target.running is None:
        return ctx.plan(Reason.TARGET_NOT_STABLE, after=POLL)
    return ctx.plan(Reason.ADOPTED, Hold(target.running), stable_hash=target.running)


def rolled_past_us(ctx: Context) -> Plan | None:
    """A template that already runs everywhere is a fact: say so and take it as stable."""
    target = target_of(ctx)
    if target.held or target.running != target.template or target.running == ctx.status.stable_hash:
        return None
    return ctx.plan(
        Reason.ROLLED_OUT_WITHOUT_CANARY, Hold(target.running), stable_hash=target.running
    )


def rolling_past_us(ctx: Context) -> Plan | None:
    """An unvetted template that began to roll is put back: unvetted pods go, none restarts."""
    target, stable = target_of(ctx), ctx.status.stable_hash
    if target.held or target.template == stable or stable is None:
        return None
    return ctx.plan(Reason.UNPAUSED_BY_HAND, PutBack(stable), after=POLL)


def hold_again(ctx: Context) -> Plan | None:
    """At rest the target is held, so that the next template does not roll by itself."""
    stable = ctx.status.stable_hash
    if target_of(ctx).held or stable is None:
        return None
    return ctx.plan(ctx.status.reason, Hold(stable), message=ctx.status.message)


def nothing_new(ctx: Context) -> Plan | None:
    """The vetted version runs: nothing to do, nothing to ask, nothing to write."""
    if target_of(ctx).template != ctx.status.stable_hash:
        return None
    if ctx.status.reason in WORTH_KEEPING or _put_back_by_us(ctx):
        return ctx.plan(ctx.status.reason, after=None, message=ctx.status.message)
    return ctx.plan(Reason.AT_REST, after=None)


def _put_back_by_us(ctx: Context) -> bool:
    """The vetted version is there because the bake failed, and nobody has applied it since.

    After any other rollback the rejected template stays in the held target, so it was a person who
    went back: then all is said and done.
    """
    last = _ended_for(ctx, ctx.status.rejected_hash)
    if last is None or last.reason is not ctx.status.reason:
        return False
    twins = (entry for entry in ctx.status.history if entry.started_at == last.started_at)
    return any(entry.result is Result.PROMOTED for entry in twins)


def rejected(ctx: Context) -> Plan | None:
    """A template that was rolled back does not start by itself again."""
    if target_of(ctx).template != ctx.status.rejected_hash:
        return None
    entry = _ended_for(ctx, ctx.status.rejected_hash)
    if entry is None:
        return ctx.plan(Reason.REJECTED, after=None)
    return ctx.plan(entry.reason, after=None, message=entry.message)


def _ended_for(ctx: Context, template: str | None) -> HistoryEntry | None:
    """How the last release of this template ended; None without one."""
    return next((entry for entry in ctx.status.history if entry.template == template), None)


def suspended(ctx: Context) -> Plan | None:
    """The user wants no new release now."""
    return ctx.plan(Reason.SUSPENDED, after=None) if ctx.spec.suspend else None


def scaled_to_zero(ctx: Context) -> Plan | None:
    """Without traffic there is nothing to compare."""
    if target_of(ctx).replicas > 0:
        return None
    return ctx.plan(Reason.TARGET_SCALED_TO_ZERO, after=ctx.spec.analysis.interval)


def start(ctx: Context) -> Plan:
    """A new template: remember what the release started from, then go."""
    target = target_of(ctx)
    release = Release(template=target.template, started_at=ctx.now, replicas=target.replicas)
    return ctx.plan(
        Reason.STARTED,
        KeepCapacity(target.replicas),
        intent=Intent.ADVANCE,
        release=release,
        step=0,
        weight=0,
        step_started_at=None,
        bake_started_at=None,
        rejected_hash=None,
        judged_until=None,
        judge=None,
        analysis=(),
    )


REST: tuple[Rule, ...] = (
    target_missing,
    taken,
    adopt,
    rolled_past_us,
    rolling_past_us,
    hold_again,
    obstacle,
    nothing_new,
    rejected,
    suspended,
    scaled_to_zero,
    route_missing,
    start,
)
