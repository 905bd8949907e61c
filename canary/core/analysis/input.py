"""The input of an analysis, and its result for one metric."""

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
    """The input of one analysis; times are seconds since the epoch."""

    analysis: Analysis
    now: float
    judged_from: float
    """Requests to the canary count from here."""
    samples: Samples | None = None
    """Samples since the last analysis; None if there are none."""
    state: OptionalJudgeState = None
    """The state that the last analysis returned; None: this is the first one.

    If it cannot be read, the analysis starts again and `samples` begin at the start.
    """
    alone: bool = False
    """After promotion: there is no stable version to compare with."""
    weight: int | None = None
    """The canary's weight (percent), as the router reports it; None if unknown."""
    step_started_at: float | None = None
    """Time at which the router confirmed that weight; None if it has not."""
    promotion_next: bool = True
    """Promotion follows, not another step: verdicts and messages of metrics are about promotion."""
    ready_since: Mapping[str, float | None] = field(default_factory=dict)
    """Time per pod at which it became ready; None: not ready yet. Pods of recorded series are
    absent."""

    @property
    def ratios(self) -> int:
        """Number of ratio metrics, which share the false positive rate."""
        return sum(metric.is_request_share for metric in self.analysis.metrics)

    @property
    def silence(self) -> float:
        """Seconds without any request to the canary after which there is no data."""
        return max(60.0, 6 * self.analysis.interval)

    def is_warming_up(self, pod: str, at: float) -> bool:
        """Return whether a pod that started later is still warming up at `at`."""
        since = self.ready_since.get(pod, self.judged_from)
        if since is None:
            return True
        late = since > self.judged_from + self.analysis.interval
        return late and at - since < self.analysis.warm_up


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The result of one metric: `step` allows the next weight, `final` the promotion."""

    status: MetricStatus
    """Figures and message."""
    step: Verdict
    final: Verdict
    state: RatioState | StoredPool | QueryState | None = None
    """State for the next analysis."""
    stable_unhealthy: bool = False
    better_than_broken: bool = False
    """Stable is broken on this metric, and the canary is shown to be better."""
    ticks: tuple[Tick, ...] = ()
    """Requests in the intervals of this analysis; empty for gauges."""
    bad: float = 0.0
    """Number of bad requests in the verdict."""


def select_verdict(given: AnalysisInput, step: Verdict, final: Verdict) -> Verdict:
    """Return the verdict on what comes next: another step, or the promotion.

    A promotion takes both verdicts.
    """
    return final if given.promotion_next and step is Verdict.PASS else step


def explain_silence(answers: tuple[MetricAnswer, ...]) -> tuple[Verdict, str] | None:
    """Return verdict and reason of the first answer without data; None if all have data."""
    for answer in answers:
        match answer:
            case NoData(why):
                return Verdict.NO_DATA, why
            case Unavailable(why):
                return Verdict.UNAVAILABLE, why
            case _:
                pass
    return None
