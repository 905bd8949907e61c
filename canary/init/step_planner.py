"""Steps and thresholds that fit the traffic that there is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from canary.api import Metric, Spec, Step, load_release
from canary.api.analysis import RatioSource
from canary.discovery.evidence_time import Course, Traffic, course_of

_STEPS = ((1, 120.0), (5, 120.0), (25, 300.0), (50, 300.0))
_BY_PODS = ((25, 300.0), (50, 300.0))
_REGRESSIONS = (0.005, 0.01, 0.02, 0.05)
DEADLINE = 7200.0
_ROOM = 0.75
"""A release that needs more of its deadline than this would often end as inconclusive."""
_SLOWEST = 1800.0
"""Seconds that the first step may wait for evidence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps and thresholds that fit the traffic."""

    steps: tuple[tuple[int, float], ...]
    regression: float
    course: Course | None
    """None where the traffic is not known."""


def plan_for(traffic: Traffic | None, *, routed: bool) -> Plan:
    """Steps that a good release passes within the deadline, if that can be.

    `traffic` None: not known. `routed`: something splits the traffic exactly.
    """
    steps = _STEPS if routed else _BY_PODS
    if traffic is None or traffic.rate <= 0:
        return Plan(steps, _REGRESSIONS[0], None)
    for regression in _REGRESSIONS:
        fitting = _quickest(steps, regression, traffic)
        if fitting.course and fitting.course.seconds <= _ROOM * DEADLINE:
            break
    return fitting


def _quickest(steps: tuple[tuple[int, float], ...], regression: float, traffic: Traffic) -> Plan:
    """Without first steps that would wait too long for their evidence."""
    while True:
        course = course_of(_spec_of(steps, regression), _RATIO, traffic)
        if course.waits[0] <= _SLOWEST or len(steps) == 1:
            return Plan(steps, regression, course)
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
