"""What all metrics of one release are judged in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canary.api import Intent, MetricStatus, Verdict
from canary.api.analysis import Analysis
from canary.core.increments import Tick
from canary.core.series import MetricAnswer, NoData, Unavailable
from canary.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Scene:
    """The release as the judge needs it; times are seconds since the epoch."""

    analysis: Analysis
    now: float
    judged_from: float
    weight: int
    """Percent, as the router shows it."""
    alone: bool
    """Promoted: there is no stable version to compare with any more."""
    ratios: int
    """How many ratio metrics share the allowed chance of a false alarm."""
    ready_since: Mapping[str, float | None]
    """Per pod; None: not ready yet."""

    @property
    def silence(self) -> float:
        """Seconds without any request to the canary after which there is no data."""
        return max(60.0, 6 * self.analysis.interval)

    def cold(self, pod: str, at: float) -> bool:
        """Whether a pod that came later is still warming up; the first ones the judge knows."""
        since = self.ready_since.get(pod, self.judged_from)
        if since is None:
            return True
        late = since > self.judged_from + self.analysis.interval
        return late and at - since < self.analysis.warm_up

    def started(self, since: float) -> dict[str, float]:
        """Pods that began after what has been judged: their counters were 0 then."""
        return {pod: at for pod, at in self.ready_since.items() if at is not None and at > since}


def scene_of(snap: Snapshot) -> Scene | None:
    """The scene of a release under way; None while there is nothing to judge."""
    release, spec = snap.wish.status.release, snap.wish.spec
    if release is None or release.judged_from is None:
        return None
    stable = snap.target.pods if snap.target else ()
    canary = snap.canary.pods if snap.canary else ()
    return Scene(
        analysis=spec.analysis,
        now=snap.now,
        judged_from=release.judged_from,
        weight=snap.route.weight if snap.route else 0,
        alone=snap.wish.status.intent is Intent.BAKE,
        ratios=sum(metric.ratio is not None for metric in spec.analysis.metrics),
        ready_since={pod.name: pod.ready_since for pod in (*stable, *canary)},
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric, judged: `step` allows the next weight, `final` the promotion."""

    status: MetricStatus
    step: Verdict
    final: Verdict
    state: Mapping[str, Any]
    """JSON; goes back in with the next samples."""
    stable_unhealthy: bool = False
    ticks: tuple[Tick, ...] = ()
    """Requests in the intervals that were judged now; none for gauges."""
    bad: float = 0.0
    """Bad requests that the verdict rests on."""


def silent(answers: tuple[MetricAnswer, ...]) -> tuple[Verdict, str] | None:
    """Why the first of the answers has nothing to say; None when all have."""
    for answer in answers:
        match answer:
            case NoData(why):
                return Verdict.NO_DATA, why
            case Unavailable(why):
                return Verdict.UNAVAILABLE, why
            case _:
                pass
    return None
