"""What the analysis of one release gets, and what it says of one metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.api import MetricStatus, Verdict
from canary.api.analysis import Analysis
from canary.api.judge_state import QueryState, RatioState, StoredPool
from canary.core.analysis.state import OptionalJudgeState
from canary.core.increments import Tick
from canary.core.series import MetricAnswer, NoData, Unavailable
from canary.core.snapshot import Samples


@dataclass(frozen=True, slots=True)
class AnalysisInput:
    """All that an analysis needs; times are seconds since the epoch."""

    analysis: Analysis
    now: float
    judged_from: float
    """Requests to the canary count from here."""
    samples: Samples | None = None
    """What was sampled since the last analysis; None: nothing new."""
    state: OptionalJudgeState = None
    """The state that the last analysis returned; None: this is the first one.

    With one that cannot be read the analysis starts again, so `samples` begin at the start.
    """
    alone: bool = False
    """Promoted: there is no stable version to compare with any more."""
    weight: int | None = None
    """Percent of traffic, as the router shows it; None: not known."""
    step_started_at: float | None = None
    """Since when the router has confirmed that weight; None: it has not."""
    ready_since: Mapping[str, float | None] = field(default_factory=dict)
    """Per pod; None: not ready yet. The pods of recorded series are not known."""

    @property
    def ratios(self) -> int:
        """Number of shares of requests: together they have the allowed chance of a false alarm."""
        return sum(metric.is_request_share for metric in self.analysis.metrics)

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


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What the analysis says of one metric: `step` allows the next weight, `final` promotion."""

    status: MetricStatus
    """Figures and sentence."""
    step: Verdict
    final: Verdict
    state: RatioState | StoredPool | QueryState | None = None
    """Goes back in with the next samples."""
    stable_unhealthy: bool = False
    better_than_broken: bool = False
    """Stable is broken on this metric, and the canary is shown to be better."""
    ticks: tuple[Tick, ...] = ()
    """Requests in the intervals that were analyzed now; none for gauges."""
    bad: float = 0.0
    """Bad requests that the verdict rests on."""


def explain_silence(answers: tuple[MetricAnswer, ...]) -> tuple[Verdict, str] | None:
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
