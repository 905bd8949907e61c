"""Carries a plan out: in order, and no further than the first action that is refused."""

from canary.core.plan import Action, Done, LetGo, Plan, RestoreRoute, SetWeight
from canary.core.snapshot import Wish
from canary.errors import TransientError
from canary.interfaces import World


def act(world: World, wish: Wish, plan: Plan) -> Done:
    """Each action is idempotent: what was done before a crash or a refusal is simply done."""
    carried_out: list[Action] = []
    for action in plan.actions:
        try:
            _carry_out(world, wish, action)
        except TransientError as error:
            return Done(tuple(carried_out), error)
        carried_out.append(action)
    return Done(tuple(carried_out))


def _carry_out(world: World, wish: Wish, action: Action) -> None:
    match action:
        case SetWeight() | RestoreRoute():
            world.traffic.apply(wish, action)
        case LetGo():
            world.releases.let_go(wish)
        case _:
            world.workloads.apply(wish, action)
