"""The judge of a simulated release: its engines, fed directly. Pure.

The same evidence as through `canary.core.judge`, which takes samples, in a hundredth of the time;
a test holds the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from canary.api import Analysis, Reason, Verdict
from canary.core.evidence import Interval, Judge, RatioPolicy, family_evidence
from canary.core.judge.pool import policy_of as pool_policy
from canary.core.judge.ratio import policy_of as ratio_policy
from canary.core.judge.scene import Scene
from canary.core.judgement import Judgement
from canary.core.leak import PoolPolicy, PoolState
from canary.core.leak import fold as fold_pool
from canary.core.leak_assess import assess as assess_pool
from canary.core.pool import PoolSample
from canary.gates.scenario import Counts, Service, poisson

_LEAST_BAD = 5.0
_RECENT = 60.0


@dataclass(slots=True)
class Engines:
    """The judge of one release; `faulty` is the one ratio metric that sees the fault."""

    analysis: Analysis
    judges: dict[str, tuple[RatioPolicy, Judge]]
    pools: dict[str, tuple[PoolPolicy, PoolState, bool]]
    faulty: str | None
    seen: float | None = None

    @classmethod
    def of(cls, analysis: Analysis, faulty: str | None, holds: Mapping[str, bool]) -> "Engines":
        """New ones. `holds`: for each pool metric, whether its exporter tells hold times."""
        scene = scene_of(analysis, 0.0)
        judges = {
            metric.name: (policy, Judge(policy))
            for metric in analysis.metrics
            if metric.ratio is not None
            for policy in (ratio_policy(metric, scene),)
        }
        pools = {
            metric.name: (pool_policy(metric, scene), PoolState(), holds[metric.name])
            for metric in analysis.metrics
            if metric.pool is not None
        }
        return cls(analysis, judges, pools, faulty)

    def take(self, start: float, end: float, counts: Counts, service: Service, pods: int) -> None:
        """One interval."""
        if counts.canary:
            self.seen = end
        for name, (_, judge) in self.judges.items():
            one = counts if name == self.faulty else _as_good(counts, service)
            judge.step(Interval(start, end, one.canary, one.canary_bad, one.stable, one.stable_bad))
        for name, (policy, state, holds) in self.pools.items():
            if pods:
                readings = service.readings(end - start, counts, pods, holds=holds)
                sample = PoolSample(end, readings, counts.canary, counts.stable)
                state = fold_pool(state, policy, (sample,))  # noqa: PLW2901 - the next state
                self.pools[name] = (policy, state, holds)

    def judgement(self, now: float, judged_from: float) -> Judgement:
        """What the judge says, as `canary.core.judge` would say it."""
        failure = self.failure()
        if failure is not None:
            return Judgement(Verdict.FAIL, Verdict.FAIL, failure, until=now)
        scene = scene_of(self.analysis, now)
        quiet = now - (judged_from if self.seen is None else self.seen) > scene.silence
        if quiet and self.judges:
            return Judgement(Verdict.NO_DATA, Verdict.NO_DATA, until=now)
        said = [assess_pool(state, policy) for policy, state, _ in self.pools.values()]
        judges = self.judges.values()
        step = all(
            judge.promotion.gross_damage_excluded(judge.baseline, policy)
            for policy, judge in judges
        ) and all(one.step_pass for one in said)
        final = all(judge.passing_since is not None for _, judge in judges)
        final = final and all(one.final_pass for one in said)
        return Judgement(
            Verdict.PASS if step else Verdict.CONTINUE,
            Verdict.PASS if final else Verdict.CONTINUE,
            stable_unhealthy=any(
                judge.baseline.rate(now, _RECENT) > policy.unhealthy for policy, judge in judges
            )
            or any(one.stable_unhealthy for one in said),
            until=now,
        )

    def failure(self) -> Reason | None:
        """Why the canary fails: a metric by itself, or the ratios together."""
        for _, judge in self.judges.values():
            if judge.failed is not None:
                return Reason(judge.failed[1])
        for _, state, _ in self.pools.values():
            if state.failure is not None:
                return Reason(state.failure.reason)
        judges = [judge for _, judge in self.judges.values()]
        if len(judges) > 1 and max(judge.judged_bad for judge in judges) >= _LEAST_BAD:
            together = family_evidence(tuple(judge.evidence() for judge in judges))
            if together >= 1.0 / self.analysis.false_alarm:
                return Reason.WORSE_THAN_STABLE
        return None


def scene_of(analysis: Analysis, now: float) -> Scene:
    """What the judge's policies are made from."""
    ratios = sum(metric.ratio is not None for metric in analysis.metrics)
    return Scene(analysis, now, 0.0, 0, alone=False, ratios=ratios, ready_since={})


def _as_good(counts: Counts, service: Service) -> Counts:
    """The same requests, as another metric sees them: it has no fault."""

    def bad(total: int) -> int:
        return min(total, poisson(total * service.scenario.stable, service.random))

    return Counts(counts.canary, bad(counts.canary), counts.stable, bad(counts.stable))
