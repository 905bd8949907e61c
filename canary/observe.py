"""Reads the world into one frozen Snapshot. Nothing else reads."""

import logging
from collections.abc import Mapping
from math import ceil, floor

from canary.api import Intent, Status
from canary.api.judge_state import JudgeState
from canary.core.analysis import judged_from, state_of
from canary.core.increments import Grid, Side
from canary.core.series import MetricAnswer, NoData, SeriesQuery, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, Route, Samples, Snapshot, Wish
from canary.errors import UsageError
from canary.interfaces import Key, MetricSource, Workload, World
from canary.metrics.compile import Compiled, compile_metric
from canary.metrics.compiler import UNASKED, Context, PoolQueries, RatioQueries
from canary.metrics.patient import LateError

_log = logging.getLogger(__name__)

Answers = Mapping[str, MetricAnswer]

HISTORY = 3600.0
"""Seconds of stable's past that the first pass of a release reads: its usual rate."""
LOOKBACK = 300.0
"""Seconds before the judged range: where groups that are missing at its start have a baseline."""
KEPT = 6 * 3600.0
"""Seconds: metrics are read no further back than this."""
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
        samples=_samples_or_why(world, wish, workload, route, now),
    )


def _samples_or_why(
    world: World, wish: Wish, workload: Workload, route: Route | None, now: float
) -> Samples | None:
    """Whatever goes wrong with metrics is a metric without data: the rest of the pass goes on."""
    try:
        return _samples(world, wish, workload, route, now)
    except LateError:
        raise
    except Exception as error:  # noqa: BLE001 - the rest of the pass must not depend on metrics
        _log.exception("the metrics could not be read")
        why = Unavailable(f"the metrics could not be read ({type(error).__name__}: {error})"[:300])
        grid = Grid(now, now, wish.spec.analysis.interval)
        return Samples(grid, now, {one.name: why for one in wish.spec.analysis.metrics})


def _samples(
    world: World, wish: Wish, workload: Workload, route: Route | None, now: float
) -> Samples | None:
    status, step = wish.status, wish.spec.analysis.interval
    if judged_from(status) is None or status.intent not in JUDGED:
        return None
    since = _since(status, now, step)
    # From where it was judged last, in whole steps: another interval counts nothing twice.
    end = since + _on_grid(world.metrics.settled(now) - since, step)
    if end <= since:
        return None
    grid = Grid(since - ceil(LOOKBACK / step) * step, end, step)
    return Samples(grid, since, read_metrics(world.metrics, wish, workload, route, grid))


def _since(status: Status, now: float, step: float) -> float:
    """From where the metrics are read (seconds): where the judge has judged up to, or the start.

    At most as far back as is kept, and never from the future.
    """
    since = status.judged_until
    if since is None or not isinstance(state_of(status, now), JudgeState):
        # Promoted: what was counted before was another version's, under the same name.
        baking = status.intent is Intent.BAKE and status.bake_started_at is not None
        start = status.bake_started_at if baking else None
        begun = status.release.started_at if status.release is not None else now
        since = _on_grid(min(begun if start is None else start, now) - HISTORY, step)
    return since if now - KEPT <= since <= now else _on_grid(now - KEPT, step)


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
