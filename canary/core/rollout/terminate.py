"""The CanaryRelease is being deleted: put everything back, and never block that for ever."""

from canary.api import Reason
from canary.core.plan import (
    Action,
    DeleteCanary,
    FreeCapacity,
    LetGo,
    Plan,
    PutBack,
    Release,
    RestoreRoute,
)
from canary.core.rollout.context import POLL, Context, Rule, vetted

LET_GO_AFTER = 120.0
"""Seconds: a deletion that cannot tidy up by then reports it and goes through."""


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
    message = f"Not everything could be put back within {LET_GO_AFTER:.0f} s; please look."
    return ctx.plan(Reason.DELETED, LetGo(), after=None, message=message)


def never_adopted(ctx: Context) -> Plan | None:
    """Nothing here was ever this release's, so all of it is left alone: it may be another's."""
    if ctx.status.stable_hash is not None or ctx.snap.canary is not None:
        return None
    return ctx.plan(Reason.DELETED, Release(), LetGo(), after=None)


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
    if target is None or template is None or target.template == template:
        return None
    return _wait(ctx, PutBack(template), confirmed_at=_confirmed_at(ctx))


def canary_objects(ctx: Context) -> Plan | None:
    """Ours to delete."""
    if ctx.snap.canary is None:
        return None
    return _wait(ctx, DeleteCanary(), FreeCapacity(), confirmed_at=_confirmed_at(ctx))


def let_go(ctx: Context) -> Plan:
    """The Deployment is the user's again."""
    return ctx.plan(Reason.DELETED, FreeCapacity(), Release(), LetGo(), after=None)


TERMINATE: tuple[Rule, ...] = (
    too_late,
    never_adopted,
    route_first,
    vetted_template,
    canary_objects,
    let_go,
)
