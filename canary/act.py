"""Carries out a plan in order, and stops at the first action that is refused."""

from canary.core.plan import Action, ActResult, Plan, RemoveFinalizer, RestoreRoute, SetWeight
from canary.core.snapshot import ReleaseResource
from canary.errors import TransientError, drop_frames
from canary.interfaces import World


def act(world: World, resource: ReleaseResource, plan: Plan) -> ActResult:
    """Carry out the actions; each is idempotent, so repeating a reconcile is safe."""
    carried_out: list[Action] = []
    for action in plan.actions:
        try:
            _apply_action(world, resource, action)
        except TransientError as error:
            return ActResult(tuple(carried_out), drop_frames(error))
        carried_out.append(action)
    return ActResult(tuple(carried_out))


def _apply_action(world: World, resource: ReleaseResource, action: Action) -> None:
    match action:
        case SetWeight() | RestoreRoute():
            world.traffic.apply(resource, action)
        case RemoveFinalizer():
            world.releases.remove_finalizer(resource)
        case _:
            world.workloads.apply(resource, action)
