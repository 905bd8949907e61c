"""Reads the world into one frozen Snapshot. Nothing else reads."""

from collections.abc import Mapping
from math import ceil, floor

from canary.api import Intent
from canary.core.increments import Grid, Side
from canary.core.series import MetricAnswer, NoData, SeriesQuery
from canary.core.snapshot import PoolSamples, RatioSamples, Route, Samples, Snapshot, Wish
from canary.errors import UsageError
from canary.interfaces import Key, MetricSource, Workload, World
from canary.metrics.compile import Compiled, compile_metric
from canary.metrics.compiler import UNASKED, Context, PoolQueries, RatioQueries

Answers = Mapping[str, MetricAnswer]

HISTORY = 3600.0
"""Seconds of stable's past that the first pass of a release reads: its usual rate."""
LOOKBACK = 300.0
"""Seconds before the judged range: where groups that are missing at its start have a baseline."""
JUDGED = {Intent.ADVANCE, Intent.PROMOTE, Intent.BAKE}


def observe(world: World, key: Key) -> Snapshot:
    """The release, its workloads, its route and, while it is being judged, its metrics.

    Raises NotFoundError when the release is gone, TransientError when something cannot be read.
    """
    wish = world.releases.read(key)
    workload = world.workloads.look(wish)
    route = world.traffic.look(wish)
    now = world.clock.now()
    return Snapshot(
        now=now,
        wish=wish,
        target=workload.target,
        canary=workload.canary,
        route=route,
        checks=workload.checks,
        samples=_samples(world, wish, workload, route, now),
    )


def _samples(
    world: World, wish: Wish, workload: Workload, route: Route | None, now: float
) -> Samples | None:
    release, status = wish.status.release, wish.status
    if release is None or release.judged_from is None or status.intent not in JUDGED:
        return None
    step = wish.spec.analysis.interval
    since = status.judged_until or _on_grid(release.started_at - HISTORY, step)
    # From where it was judged last, in whole steps: another interval counts nothing twice.
    end = since + _on_grid(world.metrics.settled(now) - since, step)
    if end <= since:
        return None
    grid = Grid(since - ceil(LOOKBACK / step) * step, end, step)
    return Samples(grid, since, read_metrics(world.metrics, wish, workload, route, grid))


def read_metrics(
    source: MetricSource, wish: Wish, workload: Workload, route: Route | None, grid: Grid
) -> dict[str, RatioSamples | PoolSamples | MetricAnswer]:
    """What the metrics of the spec say on a grid, by name. May raise TransientError."""
    compiled = _compiled(wish, workload, route)
    answers = source.read(_queries(compiled), grid.start, grid.end, grid.step)
    return {name: _answered(one, answers) for name, one in compiled.items()}


def queries_of(wish: Wish, workload: Workload, route: Route | None) -> list[SeriesQuery]:
    """What will be asked about this release: for sources that keep only what was asked for."""
    return _queries(_compiled(wish, workload, route))


def _queries(compiled: Mapping[str, Compiled | NoData]) -> list[SeriesQuery]:
    return [q for one in compiled.values() if not isinstance(one, NoData) for q in one.queries()]


def _compiled(wish: Wish, workload: Workload, route: Route | None) -> dict[str, Compiled | NoData]:
    """A metric that cannot be asked for is one without data, with the reason why."""
    context = _context(wish, workload, route)
    compiled: dict[str, Compiled | NoData] = {}
    for metric in wish.spec.analysis.metrics:
        try:
            compiled[metric.name] = compile_metric(metric, context)
        except UsageError as error:
            compiled[metric.name] = NoData(str(error))
    return compiled


def _context(wish: Wish, workload: Workload, route: Route | None) -> Context:
    target = tuple(pod.name for pod in workload.target.pods) if workload.target else ()
    canary = tuple(pod.name for pod in workload.canary.pods) if workload.canary else ()
    backends = route.backends if route else {}
    if wish.status.intent is Intent.BAKE:
        # Promoted: what is watched now is the target itself, and nothing is left beside it.
        alone = {Side.CANARY: backends[Side.STABLE]} if backends else {}
        return Context(wish.namespace, {Side.CANARY: target}, alone)
    return Context(wish.namespace, {Side.STABLE: target, Side.CANARY: canary}, backends)


def _answered(
    compiled: Compiled | NoData, answers: Answers
) -> RatioSamples | PoolSamples | MetricAnswer:
    def answer(query: SeriesQuery | None) -> MetricAnswer | None:
        return None if query is None else answers.get(query.key, UNASKED)

    match compiled:
        case RatioQueries() as ratio:
            return ratio.samples(answers)
        case PoolQueries() as pool:
            maximum = pool.maximum
            return PoolSamples(
                answers.get(pool.in_use.key, UNASKED),
                maximum if isinstance(maximum, float) else answers.get(maximum.key, UNASKED),
                answer(pool.waiting),
                answer(pool.timeouts),
                answer(pool.hold),
                pool.hold_unit,
                pool.label,
                pool.side_of,
            )
        case NoData():
            return compiled
        case _:
            return answers.get(compiled.query.key, UNASKED)


def _on_grid(time: float, step: float) -> float:
    return floor(time / step) * step
