"""How long a release takes until the evidence that promotion needs is there. Pure.

The same test as the judge's (`core/evidence/promotion.py`), asked for the number of requests.
"""

import math
from dataclasses import dataclass

from canary.api import Metric, Spec
from canary.core.evidence.policy import RatioPolicy
from canary.core.evidence.promotion import GROSS, SMALL, Terms, rules_out
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers, RawAnswers, find_metric_rounds, sample_ratio
from canary.core.series import MetricAnswer

ERROR = 0.01
"""β: the chance that a canary with exactly the smallest regression is passed."""
_MOST = 1e9


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a Service gets at present: requests per second, and the share of bad ones (0–1)."""

    rate: float
    bad: float = 0.0


def traffic_of(answers: RawAnswers | MetricAnswer, start: float, end: float) -> Traffic | None:
    """Stable's traffic between two times (seconds); None where nothing can be counted."""
    if not isinstance(answers, RatioAnswers):
        return None
    rounds = find_metric_rounds([answers], start, end, 1.0)
    ticks = sample_ratio(answers, rounds).ticks
    if not isinstance(ticks, tuple):
        return None
    first = ticks[0].end if ticks else end  # what was scraped first is only the baseline
    ticks, seconds = ticks[1:], rounds.end - first
    count = sum(tick.total(Side.STABLE) for tick in ticks)
    if seconds <= 0:
        return None
    return Traffic(
        count / seconds, sum(tick.bad(Side.STABLE) for tick in ticks) / count if count else 0.0
    )


def requests_needed(regression: float, bad: float = 0.0, terms: Terms = SMALL) -> float:
    """Canary requests until "stable's rate + `regression`" is ruled out by a canary like stable.

    Shares of requests (0–1). With no bad request at all 1,312 exclude 0.005. Infinite where the
    regression is too small beside stable's own rate to be told apart by this test.
    """

    def enough(count: float) -> bool:
        return rules_out(count * bad, count * (bad + regression), 1.0, ERROR, terms)

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST:
            return math.inf
    while high - low > max(0.5, high / 1e4):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Course:
    """How long a good release would take; seconds."""

    seconds: float
    """Until it may be promoted."""
    waits: tuple[float, ...]
    """How long each step waits for evidence after its hold."""
    requests: float
    """Canary requests that promotion needs."""


def course_of(spec: Spec, metric: Metric, traffic: Traffic) -> Course:
    """The release of a canary exactly as good as stable, under steady traffic (rate > 0)."""
    smallest = spec.analysis.smallest_regression
    policy = RatioPolicy(
        tolerance=metric.allowed_ratio, limit=metric.absolute_limit, smallest_regression=smallest
    )
    needed = requests_needed(policy.too_bad(traffic.bad) - traffic.bad, traffic.bad)
    gross = max(metric.absolute_limit or 0.0, 2 * traffic.bad + smallest) - traffic.bad
    first = requests_needed(gross, traffic.bad, GROSS)
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
    return Course(seconds, tuple(waits), needed)
