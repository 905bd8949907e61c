"""Records the state of the running demo once a second."""

from dataclasses import dataclass, field, replace

from canary.api import Metric, PoolSource, RatioSource, Status
from canary.core.increments import Side, Tick
from canary.core.next_step import describe_next_step
from canary.core.rounds import Rounds
from canary.core.sampling import (
    PoolAnswers,
    RatioAnswers,
    find_metric_rounds,
    sample_pool,
    sample_ratio,
)
from canary.core.series import FoundSeries
from canary.core.snapshot import PoolSamples, ReleaseResource
from canary.demo.cluster.traefik import CANARY, STABLE
from canary.demo.cluster.world import NAMESPACE, LocalCluster
from canary.interfaces import MetricSource, Notice
from canary.metrics.queries import Context, PoolQueries, RatioQueries, answers_of, compile_metric
from canary.render.timeline import Evidence, Moment, Numbers, Pool, ReleaseDecision

WINDOW = 10.0
"""Seconds over which rates and ratios are shown."""
ERRORS = Metric(name="errors", ratio=RatioSource(preset="traefik"))
POOLS = Metric(name="pool", pool=PoolSource(preset="psycopg-pool"))


@dataclass
class DemoRecorder:
    """The recorded moments; `began` is the start of the release (seconds since the epoch)."""

    cluster: LocalCluster
    source: MetricSource
    began: float
    moments: list[Moment] = field(default_factory=list)
    decisions: list[ReleaseDecision] = field(default_factory=list)
    totals: dict[Side, tuple[float, float]] = field(default_factory=dict)
    _read_until: float = 0.0

    def record_moment(self, now: float, resource: ReleaseResource | None) -> Moment:
        """Return the current moment.

        Without `resource` (a release) only what clients can observe.
        """
        status = resource.status if resource else None
        numbers = self._read_numbers(now)
        if resource is None and self.cluster.changed:
            # Without canary all traffic goes to one Deployment, whose version is the new one.
            numbers = {Side.CANARY: numbers[Side.STABLE], Side.STABLE: Numbers()}
        moment = Moment(
            time=now - self.began,
            weight=self.cluster.weight or 0 if resource else self._new_version_share(),
            phase=status.phase if status else "RollingUpdate",
            reason=status.reason if status else "",
            message=status.message if status else self._rolling_update(),
            next=describe_next_step(resource.spec, resource.status, now)
            if resource
            else "nothing compares the versions, so nothing stops the new one",
            canary=numbers[Side.CANARY],
            stable=numbers[Side.STABLE],
            pools=self._read_pools(now, set() if resource else self._new_instances()),
            evidence=_list_evidence(status) if status else (),
        )
        self.moments.append(moment)
        return moment

    def record_decisions(self, notices: list[Notice]) -> list[ReleaseDecision]:
        """Record the decisions that were reported since the last call."""
        fresh = [
            ReleaseDecision(n.at - self.began, n.weight, n.phase, n.reason, n.message)
            for n in notices[len(self.decisions) :]
        ]
        self.decisions += fresh
        return fresh

    def _rolling_update(self) -> str:
        """Describe a Deployment's own rollout, without canary."""
        if not self.cluster.changed:
            return "All instances run the old version."
        return "Every instance gets the new version, one after the other."

    def _new_version_share(self) -> int:
        """Return the percentage of serving instances that run the new version."""
        serving = self.cluster.stable.serving()
        return round(100 * len(self._new_instances()) / len(serving)) if serving else 0

    def _new_instances(self) -> set[str]:
        """Return the instances of the Deployment that run the new version, if one was deployed."""
        stable = self.cluster.stable
        if not self.cluster.changed:
            return set()
        return {name for name, build in stable.serving().items() if build == stable.build}

    def _build_context(self) -> Context:
        deployments = {Side.STABLE: self.cluster.stable, Side.CANARY: self.cluster.canary}
        pods = {
            side: tuple(instance.name for instance in deployment.instances())
            for side, deployment in deployments.items()
            if deployment is not None
        }
        return Context(NAMESPACE, pods, {Side.CANARY: CANARY, Side.STABLE: STABLE})

    def _read_numbers(self, now: float) -> dict[Side, Numbers]:
        queries = compile_metric(ERRORS, self._build_context())
        end = float(int(self.source.final_until(now)))
        start = end - WINDOW
        if not isinstance(queries, RatioQueries) or end <= 0:
            return {side: Numbers() for side in Side}
        raw = answers_of(queries, self.source.read(queries.queries(), start - WINDOW, end, 1.0))
        answered = raw if isinstance(raw, RatioAnswers) else None
        ticks = self._read_ticks(answered, start, end)
        new = self._read_ticks(answered, max(self._read_until, start), end)
        numbers = {}
        for side in Side:
            seen, failed = self.totals.get(side, (0.0, 0.0))
            seen += sum(tick.total(side) for tick in new)
            failed += sum(tick.bad(side) for tick in new)
            self.totals[side] = (seen, failed)
            count, wrong = (
                sum(tick.total(side) for tick in ticks),
                sum(tick.bad(side) for tick in ticks),
            )
            ratio = wrong / count if count else None
            numbers[side] = Numbers(count / WINDOW, ratio, seen, failed)
        self._read_until = new[-1].end if new else self._read_until
        return numbers

    @staticmethod
    def _read_ticks(answers: RatioAnswers | None, start: float, end: float) -> tuple[Tick, ...]:
        if answers is None:
            return ()
        ticks = sample_ratio(answers, find_metric_rounds([answers], start, end, 1.0)).ticks
        return ticks if isinstance(ticks, tuple) else ()

    def _read_pools(self, now: float, new: set[str]) -> tuple[Pool, ...]:
        queries = compile_metric(POOLS, self._build_context())
        end = float(int(self.source.final_until(now)))
        if not isinstance(queries, PoolQueries) or end <= 0:
            return ()
        raw = answers_of(queries, self.source.read(queries.queries(), end - WINDOW, end, 1.0))
        assert isinstance(raw, PoolAnswers)  # noqa: S101 - of the queries of a pool
        found = _fullest_pools(sample_pool(raw, Rounds(end - WINDOW, (end,))))
        return tuple(
            replace(pool, side=Side.CANARY) if pool.instance in new else pool for pool in found
        )


def _fullest_pools(pools: PoolSamples) -> list[Pool]:
    """Return each instance's most utilized pool; its other pools may be idle."""
    found: dict[str, Pool] = {}
    maxima = pools.maximum.series if isinstance(pools.maximum, FoundSeries) else ()
    for one in pools.in_use.series if isinstance(pools.in_use, FoundSeries) else ():
        name = one.labels.get(pools.label, "")
        most = [m.points[-1][1] for m in maxima if m.labels.items() <= one.labels.items()]
        side = pools.side_of(name) or Side.STABLE
        pool = Pool(name, side, one.points[-1][1], max(most, default=0.0))
        found[name] = max(pool, found.get(name, pool), key=lambda each: each.share)
    return list(found.values())


def _list_evidence(status: Status) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(metric.name, metric.verdict, metric.evidence, metric.threshold, metric.message)
        for metric in status.analysis
    )
