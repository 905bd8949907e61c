"""The CanaryRelease is being deleted: put everything back, and never block that for ever."""

from canary.api import Reason
from canary.core.plan import (
    Action,
    DeleteCanary,
    FreeCapacity,
    LetGo,
    NoteRejection,
    Plan,
    PutBack,
    Release,
    RestoreRoute,
)
from canary.core.rollout.context import POLL, Context, Rule, vetted
from canary.core.rollout.rollback import rejection_of

LET_GO_AFTER = 120.0
"""Seconds: a deletion that cannot tidy up by then reports it and goes through."""
TARGET_BY = 90.0
"""Seconds: so long a target that rolls may take to go back before the route is put back."""


def _wait(ctx: Context, *actions: Action, confirmed_at: float | None = None) -> Plan:
    if ctx.status.release is None:
        return ctx.plan(Reason.DELETED, *actions, after=POLL)
    return ctx.wait(Reason.DELETED, *actions, confirmed_at=confirmed_at)


def _confirmed_at(ctx: Context) -> float | None:
    return ctx.status.release.confirmed_at if ctx.status.release else None


def too_late(ctx: Context) -> Plan | None:
    """What could not be put back is said, not waited for."""
    since = ctx.snap.wish.deleting_since
    if since is None or ctx.now - since < LET_GO_AFTER:
        return None
    message = f"Cleanup incomplete after {LET_GO_AFTER:.0f} s; check the route and canary objects."
    return ctx.plan(Reason.DELETED, LetGo(), after=None, message=message)


def never_adopted(ctx: Context) -> Plan | None:
    """Nothing here was ever this release's, so all of it is left alone: it may be another's."""
    if ctx.status.stable_hash is not None or ctx.snap.canary is not None:
        return None
    return ctx.plan(Reason.DELETED, Release(), LetGo(), after=None)


def target_first(ctx: Context) -> Plan | None:
    """A target in the middle of its roll goes back while the canary still takes the traffic."""
    release, target, canary = ctx.status.release, ctx.snap.target, ctx.snap.canary
    if release is None or release.unhold_at is None or release.rolled or target is None:
        return None
    carries = canary is not None and canary.ready > 0 and ctx.status.weight > 0
    stable, since = ctx.status.stable_hash, ctx.snap.wish.deleting_since
    if not carries or stable is None or ctx.now - (since or ctx.now) > TARGET_BY:
        return None
    if target.template != stable:
        return _wait(ctx, PutBack(stable, roll=True), confirmed_at=release.confirmed_at)
    if target.running != stable:
        return _wait(ctx, confirmed_at=release.confirmed_at)
    return None


def route_first(ctx: Context) -> Plan | None:
    """The user's route, as the user wrote it."""
    route = ctx.snap.route
    if route is None:
        return None
    if not route.at_rest:
        return _wait(ctx, RestoreRoute())
    if ctx.status.release is None or ctx.snap.canary is None or ctx.settled:
        return None
    confirmed_at = (ctx.release.confirmed_at or ctx.now) if route.confirmed else None
    return _wait(ctx, confirmed_at=confirmed_at)


def vetted_template(ctx: Context) -> Plan | None:
    """An unvetted template goes while the target is still held: no pod restarts."""
    target, template = ctx.snap.target, vetted(ctx.status)
    if target is None or template is None or target.template == template or target.stable_lost:
        return None
    return _wait(ctx, PutBack(template), confirmed_at=_confirmed_at(ctx))


def canary_objects(ctx: Context) -> Plan | None:
    """Ours to delete."""
    if ctx.snap.canary is None:
        return None
    return _wait(ctx, DeleteCanary(), FreeCapacity(), confirmed_at=_confirmed_at(ctx))


def let_go(ctx: Context) -> Plan:
    """The Deployment is the user's again; what was being rolled back is remembered there."""
    release = ctx.status.release
    actions: list[Action] = [FreeCapacity(), Release(), LetGo()]
    failing = release is not None and release.failed is not None and ctx.snap.target is not None
    if failing and (rejection := rejection_of(ctx)) is not None:
        actions.insert(0, NoteRejection(rejection))
    return ctx.plan(Reason.DELETED, *actions, after=None)


TERMINATE: tuple[Rule, ...] = (
    too_late,
    never_adopted,
    target_first,
    route_first,
    vetted_template,
    canary_objects,
    let_go,
)
