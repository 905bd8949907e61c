"""Simulates one release: the operator's real rules and analysis on a simulated service. Pure.

Approvals come at once, pods are ready at once, the router applies weights at once, and checks
before traffic pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from canary.api import Intent, Metric, Reason, Release, Spec, Status
from canary.core.analysis.result import NOT_ANALYZED, AnalysisResult
from canary.core.plan import Action, EnsureCanary, SetWeight
from canary.core.rollout import canary_replicas, decide
from canary.core.snapshot import Canary, Pod, ReleaseResource, Route, Snapshot, TargetDeployment
from canary.metrics.presets import pool_preset
from canary.simulate.judge import SimulatedJudge
from canary.simulate.scenario import FaultScenario, SimulatedRequests, SimulatedService

HISTORY = 3600.0
"""Seconds of stable's history that the analysis has when a release begins."""
_HISTORY_STEP = 30.0
_MIN_WAIT = 0.01
_MAX_SECONDS = 3600.0


class ReleaseEnd(StrEnum):
    """How a simulated release ends."""

    ROLLED_BACK = "rolled back"
    PROMOTED = "promoted"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class SimulatedRelease:
    """The end of one release: how, when (seconds after first traffic), weight and bad requests."""

    end: ReleaseEnd
    reason: Reason
    at: float
    weight: int
    bad: int
    """Bad requests that the canary served."""


def simulate_release(
    spec: Spec, scenario: FaultScenario, faulty: str | None, seed: str
) -> SimulatedRelease:
    """Simulate a release from first traffic to its end. The same seed gives the same result."""
    return _ReleaseSimulation.create(spec, scenario, faulty, seed).run()


def simulate_weight(
    spec: Spec, scenario: FaultScenario, faulty: str | None, weight: int, seed: str
) -> SimulatedRelease | None:
    """Return the seconds until a release at a constant weight fails; None: not within an hour."""
    course = _ReleaseSimulation.create(spec, scenario, faulty, seed)
    course.weight = weight
    course.pods = canary_replicas(scenario.replicas, weight)
    step = spec.analysis.interval
    while course.now < _MAX_SECONDS:
        course.wait(step)
        said = course.engines.result(course.now, 0.0)
        if said.failed:
            reason = said.reason or Reason.ABOVE_LIMIT
            return SimulatedRelease(ReleaseEnd.ROLLED_BACK, reason, course.now, weight, course.bad)
    return None


def prepare_spec(spec: Spec) -> tuple[Spec, tuple[str, ...]]:
    """Return the spec without unpredictable metrics, and the names of those metrics.

    Raises ValueError if no metric is left.
    """
    analysis = spec.analysis
    kept = tuple(metric for metric in analysis.metrics if metric.kind != "query")
    if not kept:
        raise ValueError(
            "all metrics are custom queries, which cannot be simulated: add a preset metric"
        )
    steps = tuple(step.model_copy(update={"approval": False}) for step in spec.steps)
    alone = analysis.model_copy(update={"metrics": kept})
    changes = {"analysis": alone, "steps": steps, "checks": (), "notify": ()}
    left = tuple(metric.name for metric in analysis.metrics if metric not in kept)
    return spec.model_copy(update=changes), left


def _has_hold_times(metrics: tuple[Metric, ...]) -> Mapping[str, bool]:
    return {
        metric.name: pool_preset(metric.pool.preset).hold is not None
        for metric in metrics
        if metric.pool is not None
    }


@dataclass(slots=True)
class _ReleaseSimulation:
    """A release in progress. Times are in seconds since it was applied."""

    spec: Spec
    service: SimulatedService
    engines: SimulatedJudge
    status: Status
    now: float = 0.0
    weight: int = 0
    pods: int = 0
    began: float = 0.0
    served: SimulatedRequests = field(default_factory=lambda: SimulatedRequests(0, 0, 0, 0))
    bad: int = 0
    first: float | None = None

    @classmethod
    def create(
        cls, spec: Spec, scenario: FaultScenario, faulty: str | None, seed: str
    ) -> "_ReleaseSimulation":
        """Return a new release whose analysis has read stable's history."""
        analysis = spec.analysis
        release = Release(template="new", started_at=0.0, replicas=scenario.replicas)
        status = Status(intent=Intent.ADVANCE, stable_hash="old", release=release)
        service = SimulatedService(scenario, Random(seed))  # noqa: S311 - simulated requests, no secrets
        engines = SimulatedJudge.create(analysis, faulty, _has_hold_times(analysis.metrics))
        for number in range(round(HISTORY / _HISTORY_STEP)):
            start = number * _HISTORY_STEP - HISTORY
            counts = service.serve(_HISTORY_STEP, 0.0, 0)
            engines.add_interval(start, start + _HISTORY_STEP, counts, service, 0)
        return cls(spec, service, engines, status)

    def run(self) -> SimulatedRelease:
        """Run one reconcile after the other, as the operator does, until the release ends."""
        while True:
            weight = self.weight
            plan = decide(self._build_snapshot(), self._read_result())
            self.status = plan.status
            for action in plan.actions:
                self._apply_action(action)
            if (end := self._find_end()) is not None:
                at = self.now - (self.first or self.now)
                return SimulatedRelease(end, self.status.reason, at, weight, self.bad)
            self.wait(max(plan.requeue_after or 0.0, _MIN_WAIT))

    def _find_end(self) -> ReleaseEnd | None:
        release = self.status.release
        match self.status.intent:
            case Intent.ROLL_BACK:
                return ReleaseEnd.ROLLED_BACK
            case Intent.PROMOTE:
                return ReleaseEnd.PROMOTED
            case _:
                return ReleaseEnd.PAUSED if release is None or release.pause else None

    def _read_result(self) -> AnalysisResult:
        release = self.status.release
        if release is None or release.judged_from is None:
            return NOT_ANALYZED
        return self.engines.result(self.now, release.judged_from)

    def _build_snapshot(self) -> Snapshot:
        replicas = self.service.scenario.replicas
        pods = tuple(Pod(f"canary-{number}", ready=True) for number in range(self.pods))
        return Snapshot(
            self.now,
            ReleaseResource("simulated", "simulated", 1, self.spec, self.status, ""),
            TargetDeployment(replicas, "new", "old", held=True),
            Canary("new", self.pods, pods) if self.pods else None,
            Route(self.weight, confirmed=True, at_rest=self.weight == 0),
        )

    def _apply_action(self, action: Action) -> None:
        match action:
            case SetWeight(weight):
                self.weight = weight
                self.first = self.now if self.first is None and weight else self.first
            case EnsureCanary(_, replicas):
                self.pods = replicas
            case _:
                pass

    def wait(self, seconds: float) -> None:
        """Advance the time; after each interval the analysis gets the requests of that interval."""
        until = self.now + seconds
        step = self.spec.analysis.interval
        while self.now < until:
            end = min(until, self.began + step)
            counts = self.service.serve(end - self.now, self.weight / 100, self.pods)
            self.served = self.served.plus(counts)
            self.bad += counts.canary_bad
            self.now = end
            if end >= self.began + step:
                self.engines.add_interval(self.began, end, self.served, self.service, self.pods)
                self.began, self.served = end, SimulatedRequests(0, 0, 0, 0)
