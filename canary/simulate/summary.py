"""Summarizes simulated releases: how soon a fault is detected, how often a good release fails."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from canary.api import Spec, Verdict, format_duration
from canary.core.statistics import clopper_pearson, quantile_of_trials
from canary.errors import ExitCode
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.simulate.release import ReleaseEnd, SimulatedRelease
from canary.simulate.scenario import FaultScenario

MIN_DETECTED = 0.95
"""Minimum share of releases in which a policy must detect a fault to count as detecting it."""


@dataclass(frozen=True, slots=True)
class StepForecast:
    """Releases that stay at one step's weight with the fault; None: not detected within an hour."""

    weight: int
    duration: float
    ended: tuple[SimulatedRelease | None, ...]

    @property
    def delays(self) -> list[float]:
        """Seconds until detection, for the releases in which the fault was detected."""
        return [one.at for one in self.ended if one is not None]

    @property
    def within(self) -> float:
        """Share of the releases (0–1) with a detection within the step's duration."""
        return sum(at <= self.duration for at in self.delays) / max(len(self.ended), 1)


@dataclass(frozen=True, slots=True)
class PolicyForecast:
    """The results of all simulated releases."""

    spec: Spec
    scenario: FaultScenario
    faulty: Sequence[SimulatedRelease]
    good: Sequence[SimulatedRelease]
    steps: Sequence[StepForecast]
    wanted: int
    """Requested number of releases of each kind."""
    left_out: Sequence[str] = ()
    """Metrics that cannot be simulated. They always pass."""


def build_result(subject: str, forecast: PolicyForecast, seconds: float) -> GateResult:
    """Return cases for the fault, for good releases and for each step. The exit code is 0."""
    spec, one = forecast.spec, forecast.scenario
    cases = [_fault_case(forecast), _good_case(forecast)]
    cases += [_step_case(step, spec.analysis.interval) for step in forecast.steps]
    return GateResult(
        command="simulate",
        subject=subject,
        code=ExitCode.OK,
        headline=f"simulated, not measured: {_describe_scenario(one)}{_describe_runs(forecast)}",
        cases=tuple(cases),
        seconds=seconds,
        facts={
            "requestsPerSecond": one.rps,
            "stableErrorRatio": one.stable,
            "errorRatio": one.canary,
            "leakPerRequest": one.leak,
            "poolSize": one.pool if one.leak else None,
            "replicas": one.replicas,
            "releases": len(forecast.faulty) + len(forecast.good),
            "leftOut": list(forecast.left_out),
        },
        next_steps=_list_caveats(forecast),
    )


def _describe_scenario(one: FaultScenario) -> str:
    text = f"{one.rps:g} requests/s, stable fails {one.stable:.3%}, the canary {one.canary:.3%}"
    if one.leak:
        text += f" and leaks a connection per {1 / one.leak:,.0f} requests from pools of {one.pool}"
    return text


def _describe_runs(forecast: PolicyForecast) -> str:
    """Return how many releases were simulated, and whether the time limit stopped more."""
    faulty, good = len(forecast.faulty), len(forecast.good)
    text = f"; {faulty} releases with the fault and {good} without"
    if min(faulty, good) >= forecast.wanted:
        return text
    return f"{text} ({forecast.wanted} of each requested; stopped at the time limit, see --at-most)"


def _list_caveats(forecast: PolicyForecast) -> tuple[str, ...]:
    text = (
        "real traffic is harder to judge: errors come in clumps, pods differ, load changes; "
        "`canary backtest` replays the policy on your own history"
    )
    if not forecast.left_out:
        return (text,)
    return (text, f"not simulated, counted as passing: {', '.join(forecast.left_out)}")


def _fault_case(forecast: PolicyForecast) -> ResultCase:
    ended, trials = forecast.faulty, len(forecast.faulty)
    found = [one for one in ended if one.end is ReleaseEnd.ROLLED_BACK]
    missed = sum(one.end is ReleaseEnd.PROMOTED for one in ended)
    low, high = clopper_pearson(len(found), trials)
    median, late = _median_and_p95([one.at for one in found], trials)
    hit, worst = _median_and_p95([float(one.bad) for one in ended], trials)
    share = len(found) / trials
    sentence = (
        f"detected in {share:.1%} of releases ({low:.1%}–{high:.1%}){_describe_delay(median, late)}"
        f"; bad requests served: median {hit:,.0f}, 95 % at most {worst:,.0f}; promoted despite "
        f"the fault: {missed}{_describe_paused(ended)}"
        f"{_describe_weights(found)}"
    )
    verdict = Verdict.PASS if share >= MIN_DETECTED else Verdict.CONTINUE
    facts = _count_ends(ended) | {"seen": share, "seenLow": low, "seenHigh": high}
    facts |= {"medianSeconds": median, "p95Seconds": late, "medianBad": hit, "p95Bad": worst}
    return ResultCase("fault", verdict, sentence, _finite_or_zero(median), facts)


def _good_case(forecast: PolicyForecast) -> ResultCase:
    ended, trials = forecast.good, len(forecast.good)
    false = sum(one.end is ReleaseEnd.ROLLED_BACK for one in ended)
    promoted = [one.at for one in ended if one.end is ReleaseEnd.PROMOTED]
    low, high = clopper_pearson(false, trials)
    median, late = _median_and_p95(promoted, trials)
    sentence = (
        f"a good release is rolled back in {false / trials:.1%} ({low:.1%}–{high:.1%}; allowed: "
        f"{forecast.spec.analysis.false_positive_rate:.1%}), "
        f"and promoted in {len(promoted) / trials:.1%}"
        f"{_describe_delay(median, late)}{_describe_paused(ended)}"
    )
    wrong = low > forecast.spec.analysis.false_positive_rate
    stuck = len(promoted) < MIN_DETECTED * trials
    verdict = Verdict.FAIL if wrong else Verdict.CONTINUE if stuck else Verdict.PASS
    facts = _count_ends(ended) | {"falseRollbacks": false / trials, "low": low, "high": high}
    facts |= {"medianSeconds": median, "p95Seconds": late}
    return ResultCase("good release", verdict, sentence, _finite_or_zero(median), facts)


def _step_case(step: StepForecast, interval: float) -> ResultCase:
    trials = len(step.ended)
    median, late = _median_and_p95(step.delays, trials)
    sentence = (
        "at a constant weight: detected within the step's duration of "
        f"{format_duration(step.duration)} in "
        f"{step.within:.0%}, within an hour in "
        f"{len(step.delays) / trials:.0%}{_describe_delay(median, late)}"
    )
    facts: dict[str, Fact] = {
        "weight": step.weight,
        "duration": step.duration,
        "withinDuration": step.within,
    }
    facts |= {"medianSeconds": median, "p95Seconds": late, "interval": interval}
    verdict = Verdict.PASS if step.within >= MIN_DETECTED else Verdict.CONTINUE
    return ResultCase(f"at {step.weight} %", verdict, sentence, _finite_or_zero(median), facts)


def _describe_paused(ended: Sequence[SimulatedRelease]) -> str:
    reasons = Counter(str(one.reason) for one in ended if one.end is ReleaseEnd.PAUSED)
    if not reasons:
        return ""
    return f"; paused: {', '.join(f'{count} × {name}' for name, count in reasons.most_common())}"


def _describe_weights(found: Sequence[SimulatedRelease]) -> str:
    weights = Counter(one.weight for one in found)
    if not weights:
        return ""
    return f"; detected at {', '.join(f'{weight} %: {n}' for weight, n in sorted(weights.items()))}"


def _count_ends(ended: Sequence[SimulatedRelease]) -> dict[str, Fact]:
    ends = {str(end): sum(one.end is end for one in ended) for end in ReleaseEnd}
    return {"releases": len(ended), **ends}


def _median_and_p95(values: Sequence[float], trials: int) -> tuple[float, float]:
    """Return median and 95th percentile over all trials.

    Trials without a value count as infinite.
    """
    return quantile_of_trials(values, 0.5, trials), quantile_of_trials(values, 0.95, trials)


def _describe_delay(median: float, late: float) -> str:
    """Return `: median 6m28s after …, 95 % within 9m`; empty if fewer than half have a value."""
    if not math.isfinite(median):
        return ""
    text = f": median {format_duration(float(round(median)))} after the first traffic"
    if not math.isfinite(late):
        return text
    return f"{text}, 95 % within {format_duration(float(round(late)))}"


def _finite_or_zero(seconds: float) -> float:
    return seconds if math.isfinite(seconds) else 0.0
