"""The load of one cycle. Imported by the load's own processes, so it imports little. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from canary.loadtest.generator.mix import RenderedRequest, RequestMix
from canary.loadtest.generator.plan import LoadPlan
from canary.loadtest.generator.schedule import LoadSchedule, LoadStage


def plan_cycle(plan: LoadPlan, rate: float, count: int, first: int) -> LoadPlan:
    """The load of one cycle, which goes on numbering (and drawing) where the last one ended."""
    return replace(
        plan,
        schedule=LoadSchedule((LoadStage(rate, rate, count / rate),), plan.schedule.spacing),
        mix=OffsetMix(plan.mix.requests, plan.mix.rows, first),
        seed=plan.seed + first,
    )


@dataclass(frozen=True)
class OffsetMix(RequestMix):
    """A mix whose requests count from `first` on."""

    first: int = 0

    def draw(self, seed: str) -> Callable[[int], RenderedRequest]:
        """As in Mix; no number is given twice in a test."""
        drawn = super().draw(seed)
        return lambda number: drawn(self.first + number)
