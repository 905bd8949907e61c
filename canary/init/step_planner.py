"""Plans steps and thresholds that fit the current traffic. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from canary.api import Metric, Spec, Step, load_release
from canary.api.analysis import RatioSource
from canary.discovery.evidence_time import ReleaseForecast, TrafficRate, forecast_release

_STEPS = ((1, 120.0), (5, 120.0), (25, 300.0), (50, 300.0))
_STEPS_BY_PODS = ((25, 300.0), (50, 300.0))
_REGRESSIONS = (0.005, 0.01, 0.02, 0.05)
DEADLINE = 7200.0
_DEADLINE_SHARE = 0.75
"""Share of the deadline that a good release may need; with more it often ends inconclusive."""
_LONGEST_WAIT = 1800.0
"""Seconds that the first step may wait for evidence."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Steps and thresholds for a draft."""

    steps: tuple[tuple[int, float], ...]
    regression: float
    forecast: ReleaseForecast | None
    """None if the traffic is not known."""


def plan_steps(traffic: TrafficRate | None, *, routed: bool) -> StepPlan:
    """Plan steps that a good release passes within the deadline, if possible.

    `traffic` is None if it is not known. `routed`: a router splits the traffic exactly.
    """
    steps = _STEPS if routed else _STEPS_BY_PODS
    if traffic is None or traffic.rate <= 0:
        return StepPlan(steps, _REGRESSIONS[0], None)
    for regression in _REGRESSIONS:
        fitting = _plan_fastest(steps, regression, traffic)
        if fitting.forecast and fitting.forecast.seconds <= _DEADLINE_SHARE * DEADLINE:
            break
    return fitting


def _plan_fastest(
    steps: tuple[tuple[int, float], ...], regression: float, traffic: TrafficRate
) -> StepPlan:
    """Drop first steps that would wait too long for their evidence."""
    while True:
        forecast = forecast_release(_spec_of(steps, regression), _RATIO, traffic)
        if forecast.waits[0] <= _LONGEST_WAIT or len(steps) == 1:
            return StepPlan(steps, regression, forecast)
        steps = steps[1:]


_RATIO = Metric(name="errors", ratio=RatioSource(preset="http"))
_ANY = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: any}
spec:
  target: {name: any}
  traffic: {replicas: {}}
  steps: [{weight: 1}]
  analysis: {metrics: [{name: errors, ratio: {preset: http}}]}
"""


def _spec_of(steps: Sequence[tuple[int, float]], regression: float) -> Spec:
    spec = load_release(_ANY, "a pattern").spec
    analysis = spec.analysis.model_copy(update={"smallest_regression": regression})
    made = tuple(Step(weight=weight, duration=length) for weight, length in steps)
    return spec.model_copy(update={"analysis": analysis, "steps": made})
