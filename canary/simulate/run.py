"""Runs `canary simulate`: simulates the requested releases until the time limit."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from canary.api import Spec
from canary.api.messages import describe_unknown
from canary.discovery.release_file import load_release_file
from canary.errors import UsageError
from canary.results.gate_result import GateResult
from canary.simulate.release import (
    SimulatedRelease,
    prepare_spec,
    simulate_release,
    simulate_weight,
)
from canary.simulate.scenario import FaultScenario
from canary.simulate.summary import PolicyForecast, StepForecast, build_result

RUNS_PER_STEP = 50
"""Simulated releases per step. They only show which step detects the fault."""
_TIME_SHARES = (0.4, 0.4, 0.2)
"""Shares of the time limit for releases with the fault, good releases and single steps."""
_REDRAW_SECONDS = 0.2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """The options as given; None: not given."""

    file: str
    """File with the policy; `-`: standard input."""
    scenario: FaultScenario
    metric: str | None = None
    runs: int = 200
    seed: int = 1
    time_limit: float = 10.0
    """Time limit in seconds."""


def run_simulation(settings: SimulationSettings) -> GateResult:
    """Simulate the policy. Raises UsageError for an invalid option or file."""
    release = load_release_file(settings.file)
    simulation = Simulation.create(
        release.spec, settings.scenario, settings.metric, settings.runs, settings.seed
    )
    forecast, seconds = simulation.run(settings.time_limit)
    subject = f"{release.metadata.namespace}/{release.metadata.name}"
    return build_result(subject, forecast, seconds)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The policy and the scenario to simulate."""

    spec: Spec
    left_out: tuple[str, ...]
    scenario: FaultScenario
    faulty: str | None
    runs: int
    seed: int

    @classmethod
    def create(
        cls, spec: Spec, scenario: FaultScenario, metric: str | None, runs: int, seed: int
    ) -> "Simulation":
        """Return a valid simulation. Raises UsageError for a metric that cannot be simulated."""
        try:
            plain, left = prepare_spec(spec)
        except ValueError as error:
            raise UsageError(str(error)) from error
        ratios = [one.name for one in plain.analysis.metrics if one.is_request_share]
        if metric is not None and metric not in ratios:
            raise UsageError(f"--metric: {describe_unknown('ratio metric', metric, ratios)}")
        if not ratios and not scenario.leak:
            raise UsageError(
                "no metric in the file counts errors: set --leak, or add a ratio metric"
            )
        faulty = metric or (ratios[0] if ratios else None)
        return cls(plain, left, scenario, faulty, runs, seed)

    def run(self, seconds: float) -> tuple[PolicyForecast, float]:
        """Simulate everything within about this many seconds. Also returns the seconds it took."""
        began = time.perf_counter()
        faulty = self._simulate_releases("fault", self.scenario, seconds * _TIME_SHARES[0])
        good = self._simulate_releases("good", self.scenario.good, seconds * _TIME_SHARES[1])
        left = seconds * _TIME_SHARES[2] / len(self.spec.steps)
        steps = [self._simulate_step(index, left) for index in range(len(self.spec.steps))]
        forecast = PolicyForecast(
            self.spec, self.scenario, faulty, good, steps, self.runs, self.left_out
        )
        return forecast, time.perf_counter() - began

    def _simulate_releases(
        self, kind: str, scenario: FaultScenario, seconds: float
    ) -> list[SimulatedRelease]:
        def one(number: int) -> SimulatedRelease:
            return simulate_release(
                self.spec, scenario, self.faulty, f"{self.seed}-{kind}-{number}"
            )

        return list(_run_within(one, self.runs, seconds, f"releases ({kind})"))

    def _simulate_step(self, index: int, seconds: float) -> StepForecast:
        step = self.spec.steps[index]

        def one(number: int) -> SimulatedRelease | None:
            seed = f"{self.seed}-step-{index}-{number}"
            return simulate_weight(self.spec, self.scenario, self.faulty, step.weight, seed)

        runs = min(self.runs, RUNS_PER_STEP)
        ended = tuple(_run_within(one, runs, seconds, f"at {step.weight} %"))
        return StepForecast(step.weight, step.duration, ended)


def _run_within(one: Callable[[int], _T], runs: int, seconds: float, what: str) -> Iterator[_T]:
    """Simulate at least one release and more until the limit; a terminal shows the progress."""
    began = drawn = time.perf_counter()
    shown = sys.stderr.isatty()
    for number in range(runs):
        yield one(number)
        now = time.perf_counter()
        if shown and now - drawn > _REDRAW_SECONDS:
            drawn = now
            sys.stderr.write(f"\r\x1b[K{what}: {number + 1} of {runs}")
            sys.stderr.flush()
        if now - began > seconds:
            break
    if shown:
        sys.stderr.write("\r\x1b[K")
