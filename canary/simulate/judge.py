"""Feeds simulated requests directly to the evidence and pool detectors. Pure.

Verdicts come from `canary.core.analysis`. The evidence is the same as from Prometheus samples but
takes a hundredth of the time. A test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from canary.api import Analysis
from canary.core.analysis import AnalysisInput, AnalysisResult, MetricResult, pool, ratio
from canary.core.analysis.result import combine_metrics
from canary.core.evidence import Interval, Judge, RatioPolicy
from canary.core.evidence.assessment import assess_judge
from canary.core.pools.detector import DetectorState, PoolPolicy
from canary.core.pools.detector import fold_samples as fold_pool
from canary.core.pools.samples import PoolSample
from canary.core.pools.verdict import assess_pools as assess_pool
from canary.core.statistics import draw_poisson
from canary.simulate.scenario import SimulatedRequests, SimulatedService


@dataclass(slots=True)
class SimulatedJudge:
    """The analysis of one simulated release.

    Only the ratio metric named `faulty` shows the fault.
    """

    analysis: Analysis
    judges: dict[str, tuple[RatioPolicy, Judge]]
    pools: dict[str, tuple[PoolPolicy, DetectorState, bool]]
    faulty: str | None
    seen: float | None = None

    @classmethod
    def create(
        cls, analysis: Analysis, faulty: str | None, holds: Mapping[str, bool]
    ) -> "SimulatedJudge":
        """Return a new analysis.

        `holds`: per pool metric, whether its exporter reports hold times.
        """
        given = AnalysisInput(analysis, 0.0, 0.0)
        judges = {
            metric.name: (policy, Judge(policy))
            for metric in analysis.metrics
            if metric.is_request_share
            for policy in (ratio.build_ratio_policy(metric, given),)
        }
        pools = {
            metric.name: (
                pool.build_pool_policy(metric, given),
                DetectorState(),
                holds[metric.name],
            )
            for metric in analysis.metrics
            if metric.pool is not None
        }
        return cls(analysis, judges, pools, faulty)

    def add_interval(
        self,
        start: float,
        end: float,
        counts: SimulatedRequests,
        service: SimulatedService,
        pods: int,
    ) -> None:
        """Add the requests and connections of one interval."""
        if counts.canary:
            self.seen = end
        for name, (_, judge) in self.judges.items():
            one = counts if name == self.faulty else _without_fault(counts, service)
            judge.add_interval(
                Interval(start, end, one.canary, one.canary_bad, one.stable, one.stable_bad)
            )
        for name, (policy, state, holds) in self.pools.items():
            if pods:
                readings = service.readings(end - start, counts, pods, holds=holds)
                sample = PoolSample(end, readings, counts.canary, counts.stable)
                state = fold_pool(state, policy, (sample,))  # noqa: PLW2901 - the next state
                self.pools[name] = (policy, state, holds)

    def result(self, now: float, judged_from: float) -> AnalysisResult:
        """Return the result of the analysis of all intervals so far."""
        given = AnalysisInput(self.analysis, now, judged_from)
        found: list[MetricResult] = []
        for metric in self.analysis.metrics:
            if metric.is_request_share:
                policy, judge = self.judges[metric.name]
                said = assess_judge(judge, policy, bounds=False)
                found.append(ratio.build_ratio_result(metric, said, given, self.seen))
            else:
                pool_policy, state, _ = self.pools[metric.name]
                found.append(pool.build_pool_result(metric, assess_pool(state, pool_policy), given))
        return replace(combine_metrics(given, found), until=now)


def _without_fault(counts: SimulatedRequests, service: SimulatedService) -> SimulatedRequests:
    """Return the requests without the fault, for a metric that does not show it."""

    def bad(total: int) -> int:
        return min(total, draw_poisson(total * service.scenario.stable, service.random))

    return SimulatedRequests(counts.canary, bad(counts.canary), counts.stable, bad(counts.stable))
