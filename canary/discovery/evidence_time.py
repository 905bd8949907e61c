"""Computes how long a release takes to collect the evidence that promotion needs. Pure.

Uses the judge's own test (`core/evidence/promotion.py`), solved for the number of requests.
Example: a canary without a single error needs 1,312 requests to rule out 0.5 % more errors; at
10 requests per second and a weight of 5 % those take 44 minutes.
"""

import math
from dataclasses import dataclass

from canary.api import Metric, Spec
from canary.core.evidence.baseline import Baseline
from canary.core.evidence.policy import RatioPolicy
from canary.core.evidence.promotion import CLUMP_OF_A_STEP, GROSS, SMALL, Terms, rules_out
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers, RawAnswers, find_metric_rounds, sample_ratio
from canary.core.series import MetricAnswer

MISS_PROBABILITY = 0.01
"""β: the probability of passing a canary that has exactly the smallest regression."""
TRAFFIC_WINDOW = 600.0
"""Seconds over which the current traffic is measured."""
_MAX_REQUESTS = 1e9


@dataclass(frozen=True, slots=True)
class TrafficRate:
    """Current traffic of a Service: requests per second, and the share of bad ones (0–1)."""

    rate: float
    bad: float = 0.0
    seconds: float = TRAFFIC_WINDOW
    """Time over which it was measured: shorter where the counters are younger."""
    clump: float = 1.0
    """Size of the groups in which errors come; a promotion takes so many times more requests."""

    @property
    def is_young(self) -> bool:
        """Measured over less than half of the window: it may be far from the usual traffic."""
        return self.seconds < TRAFFIC_WINDOW / 2


def measure_traffic(
    answers: RawAnswers | MetricAnswer, start: float, end: float
) -> TrafficRate | None:
    """Return stable's traffic between two times (seconds); None if nothing can be counted."""
    if not isinstance(answers, RatioAnswers):
        return None
    rounds = find_metric_rounds([answers], start, end, 1.0)
    ticks = sample_ratio(answers, rounds).ticks
    if not isinstance(ticks, tuple):
        return None
    # The first scrape of a counter is only the baseline for the next one.
    first = ticks[0].end if ticks else end
    ticks, seconds = ticks[1:], rounds.end - first
    count = sum(tick.total(Side.STABLE) for tick in ticks)
    if seconds <= 0:
        return None
    past = Baseline()
    for tick in ticks:
        if (total := tick.total(Side.STABLE)) > 0:
            past.add(tick.end, total, tick.bad(Side.STABLE))
    return TrafficRate(
        count / seconds,
        sum(tick.bad(Side.STABLE) for tick in ticks) / count if count else 0.0,
        seconds,
        past.clump_for_promotion(),
    )


def requests_needed(
    regression: float, bad: float = 0.0, terms: Terms = SMALL, clump: float = 1.0
) -> float:
    """Return how many canary requests rule out stable's rate + `regression`.

    Assumes a canary exactly as good as stable. `regression` and `bad` are shares of requests
    (0–1). With no bad request at all, 1,312 requests rule out 0.005. Infinite if the regression
    is too small compared with stable's own rate for this test.
    """

    def enough(count: float) -> bool:
        return rules_out(count * bad, count * (bad + regression), clump, MISS_PROBABILITY, terms)

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, high * 2
        if high > _MAX_REQUESTS:
            return math.inf
    while high - low > max(0.5, high / 1e4):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class ReleaseForecast:
    """Expected duration of a good release, in seconds."""

    seconds: float
    """Time until promotion."""
    waits: tuple[float, ...]
    """How long each step waits for evidence after its duration."""
    requests: float
    """Number of canary requests that promotion needs."""


def forecast_release(spec: Spec, metric: Metric, traffic: TrafficRate) -> ReleaseForecast:
    """Forecast the release of a canary as good as stable, under steady traffic (rate > 0)."""
    smallest = spec.analysis.smallest_regression
    policy = RatioPolicy(
        tolerance=metric.allowed_ratio, limit=metric.absolute_limit, smallest_regression=smallest
    )
    # Every step must rule out a gross regression; the last one also the smallest regression.
    bad, clump = traffic.bad, traffic.clump
    needed = requests_needed(policy.too_bad(bad) - bad, bad, SMALL, clump)
    first = requests_needed(policy.gross_damage(bad) - bad, bad, GROSS, min(clump, CLUMP_OF_A_STEP))
    count, seconds, waits = 0.0, spec.analysis.warm_up, []
    for index, step in enumerate(spec.steps):
        rate = traffic.rate * step.weight / 100
        count += rate * step.duration
        last = index + 1 == len(spec.steps)
        missing = max(needed if last else first, first) - count
        wait = max(0.0, missing / rate)
        if last:
            counted = seconds + step.duration - spec.analysis.warm_up
            wait = max(wait, spec.analysis.min_duration - counted)
        count += rate * wait
        seconds += step.duration + wait
        waits.append(wait)
    return ReleaseForecast(seconds, tuple(waits), needed)
