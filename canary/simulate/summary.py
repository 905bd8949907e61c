"""What simulated releases say of a policy: how soon it sees a fault, how often it is wrong."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from canary.api import Spec, Verdict, format_duration
from canary.errors import ExitCode
from canary.results.gate_result import Case, Fact, Outcome
from canary.simulate.intervals import clopper_pearson, quantile
from canary.simulate.release import End, Ended
from canary.simulate.scenario import Scenario

SEEN = 0.95
"""A fault counts as seen by a policy that sees it in at least this share of the releases."""


@dataclass(frozen=True, slots=True)
class Step:
    """Releases that stay at one step's weight with the fault; None: not seen within an hour."""

    weight: int
    duration: float
    ended: tuple[Ended | None, ...]

    @property
    def delays(self) -> list[float]:
        """Seconds until it was seen, where it was."""
        return [one.at for one in self.ended if one is not None]

    @property
    def within(self) -> float:
        """Share of the releases (0–1) in which it was seen before the step's duration was over."""
        return sum(at <= self.duration for at in self.delays) / max(len(self.ended), 1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """All that was simulated."""

    spec: Spec
    scenario: Scenario
    faulty: Sequence[Ended]
    good: Sequence[Ended]
    steps: Sequence[Step]
    wanted: int
    """Releases that were asked for, of each kind."""
    left_out: Sequence[str] = ()
    """Metrics that nobody can simulate; taken as passing."""


def outcome_of(subject: str, forecast: Forecast, seconds: float) -> Outcome:
    """A case for the fault, one for good releases, one per step. The exit code is always 0."""
    spec, one = forecast.spec, forecast.scenario
    cases = [_faulty(forecast), _good(forecast)]
    cases += [_step(step, spec.analysis.interval) for step in forecast.steps]
    return Outcome(
        command="simulate",
        subject=subject,
        code=ExitCode.OK,
        headline=f"simulated, not measured: {_described(one)}{_counted(forecast)}",
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
        next_steps=_caveats(forecast),
    )


def _described(one: Scenario) -> str:
    text = f"{one.rps:g} requests/s, stable fails {one.stable:.3%}, the canary {one.canary:.3%}"
    if one.leak:
        text += f" and leaks a connection per {1 / one.leak:,.0f} requests from pools of {one.pool}"
    return text


def _counted(forecast: Forecast) -> str:
    """How many releases there were, and that they are fewer than asked for, if they are."""
    faulty, good = len(forecast.faulty), len(forecast.good)
    text = f"; {faulty} releases with the fault and {good} without"
    if min(faulty, good) >= forecast.wanted:
        return text
    return f"{text} ({forecast.wanted} of each requested; stopped at the time limit, see --at-most)"


def _caveats(forecast: Forecast) -> tuple[str, ...]:
    text = (
        "real traffic is less kind: errors come in clumps, pods differ, load changes; "
        "`canary backtest` tries the policy on your own history"
    )
    if not forecast.left_out:
        return (text,)
    return (text, f"not simulated, taken as passing: {', '.join(forecast.left_out)}")


def _faulty(forecast: Forecast) -> Case:
    ended, trials = forecast.faulty, len(forecast.faulty)
    found = [one for one in ended if one.end is End.ROLLED_BACK]
    missed = sum(one.end is End.PROMOTED for one in ended)
    low, high = clopper_pearson(len(found), trials)
    median, late = _quantiles([one.at for one in found], trials)
    hit, worst = _quantiles([float(one.bad) for one in ended], trials)
    share = len(found) / trials
    sentence = (
        f"seen in {share:.1%} of releases ({low:.1%}–{high:.1%}){_when(median, late)}; bad "
        f"requests served: median {hit:,.0f}, 95 % at most {worst:,.0f}; promoted all the same: "
        f"{missed}{_paused(ended)}"
        f"{_where(found)}"
    )
    verdict = Verdict.PASS if share >= SEEN else Verdict.CONTINUE
    facts = _facts(ended) | {"seen": share, "seenLow": low, "seenHigh": high}
    facts |= {"medianSeconds": median, "p95Seconds": late, "medianBad": hit, "p95Bad": worst}
    return Case("fault", verdict, sentence, _finite(median), facts)


def _good(forecast: Forecast) -> Case:
    ended, trials = forecast.good, len(forecast.good)
    false = sum(one.end is End.ROLLED_BACK for one in ended)
    promoted = [one.at for one in ended if one.end is End.PROMOTED]
    low, high = clopper_pearson(false, trials)
    median, late = _quantiles(promoted, trials)
    sentence = (
        f"a good release is rolled back in {false / trials:.1%} ({low:.1%}–{high:.1%}; allowed: "
        f"{forecast.spec.analysis.false_positive_rate:.1%}), "
        f"and promoted in {len(promoted) / trials:.1%}"
        f"{_when(median, late)}{_paused(ended)}"
    )
    wrong = low > forecast.spec.analysis.false_positive_rate
    stuck = len(promoted) < SEEN * trials
    verdict = Verdict.FAIL if wrong else Verdict.CONTINUE if stuck else Verdict.PASS
    facts = _facts(ended) | {"falseRollbacks": false / trials, "low": low, "high": high}
    facts |= {"medianSeconds": median, "p95Seconds": late}
    return Case("good release", verdict, sentence, _finite(median), facts)


def _step(step: Step, interval: float) -> Case:
    trials = len(step.ended)
    median, late = _quantiles(step.delays, trials)
    sentence = (
        f"if it stayed there: seen within its duration of {format_duration(step.duration)} in "
        f"{step.within:.0%}, within an hour in "
        f"{len(step.delays) / trials:.0%}{_when(median, late)}"
    )
    facts: dict[str, Fact] = {
        "weight": step.weight,
        "duration": step.duration,
        "withinDuration": step.within,
    }
    facts |= {"medianSeconds": median, "p95Seconds": late, "interval": interval}
    verdict = Verdict.PASS if step.within >= SEEN else Verdict.CONTINUE
    return Case(f"at {step.weight} %", verdict, sentence, _finite(median), facts)


def _paused(ended: Sequence[Ended]) -> str:
    reasons = Counter(str(one.reason) for one in ended if one.end is End.PAUSED)
    if not reasons:
        return ""
    return f"; paused: {', '.join(f'{count} × {name}' for name, count in reasons.most_common())}"


def _where(found: Sequence[Ended]) -> str:
    weights = Counter(one.weight for one in found)
    if not weights:
        return ""
    return f"; seen at {', '.join(f'{weight} %: {n}' for weight, n in sorted(weights.items()))}"


def _facts(ended: Sequence[Ended]) -> dict[str, Fact]:
    ends = {str(end): sum(one.end is end for one in ended) for end in End}
    return {"releases": len(ended), **ends}


def _quantiles(values: Sequence[float], trials: int) -> tuple[float, float]:
    """Median and 95th percentile of all trials: infinite where it did not come to that."""
    return quantile(values, 0.5, trials), quantile(values, 0.95, trials)


def _when(median: float, late: float) -> str:
    """`: median 6m28s after …, 95 % within 9m`; nothing where it is too few for that."""
    if not math.isfinite(median):
        return ""
    text = f": median {format_duration(float(round(median)))} after the first traffic"
    if not math.isfinite(late):
        return text
    return f"{text}, 95 % within {format_duration(float(round(late)))}"


def _finite(seconds: float) -> float:
    return seconds if math.isfinite(seconds) else 0.0
