"""The load of one round. The processes that send it import this module, so it is small. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from canary.loadtest.generator.mix import RenderedRequest, RequestMix
from canary.loadtest.generator.plan import LoadPlan
from canary.loadtest.generator.schedule import LoadSchedule, LoadStage


def plan_cycle(plan: LoadPlan, rate: float, count: int, first: int) -> LoadPlan:
    """Plan the load of one round: `count` requests whose numbers begin at `first`."""
    return replace(
        plan,
        schedule=LoadSchedule((LoadStage(rate, rate, count / rate),), plan.schedule.spacing),
        mix=OffsetMix(plan.mix.requests, plan.mix.rows, first),
        seed=plan.seed + first,
    )


@dataclass(frozen=True)
class OffsetMix(RequestMix):
    """A mix whose request numbers begin at `first`."""

    first: int = 0

    def draw(self, seed: str) -> Callable[[int], RenderedRequest]:
        """Draw as RequestMix does; no number occurs twice in a test."""
        drawn = super().draw(seed)
        return lambda number: drawn(self.first + number)
