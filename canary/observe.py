"""Reads everything into one immutable Snapshot; a reconcile reads nothing else."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

from canary.api import Intent, Status
from canary.api.judge_state import JudgeState
from canary.core.analysis import find_judging_start, read_judge_state
from canary.core.increments import Side
from canary.core.rounds import Rounds
from canary.core.sampling import build_samples
from canary.core.series import MetricAnswer, NoData, PendingAnswer, SeriesQuery, Unavailable
from canary.core.snapshot import ReleaseResource, Route, Samples, Snapshot
from canary.errors import UsageError
from canary.interfaces import Key, MetricSource, Workload, World
from canary.metrics.queries import Compiled, Context, RatioQueries, answers_of, compile_metric

_log = logging.getLogger(__name__)

HISTORY = 3600.0
"""Seconds of stable's history that the first reconcile of a release reads, for its usual rate."""
LOOKBACK = 300.0
"""Seconds before the analyzed range, in which new series have a baseline."""
MAX_LOOKBACK = 6 * 3600.0
"""Maximum age of metrics in seconds."""
JUDGED_INTENTS = {Intent.ADVANCE, Intent.PROMOTE, Intent.BAKE}


def observe(world: World, key: Key) -> Snapshot:
    """Read the release, its workloads, its route and, while it is judged, its metrics.

    Raises NotFoundError when the release is gone, TransientError when something cannot be read.
    """
    resource = world.releases.read(key)
    workload = world.workloads.read(resource)
    route = world.traffic.read(resource)
    now = world.clock.now()
    return Snapshot(
        now=now,
        resource=resource,
        target=workload.target,
        canary=workload.canary,
        route=route,
        checks=workload.checks,
        samples=_read_samples_safely(world, resource, workload, route, now),
    )


def _read_samples_safely(
    world: World, resource: ReleaseResource, workload: Workload, route: Route | None, now: float
) -> Samples | None:
    """Read the samples; any error becomes a metric without data, and the pass continues."""
    try:
        return _read_due_samples(world, resource, workload, route, now)
    except Exception as error:  # noqa: BLE001 - the rest of the reconcile must not depend on metrics
        _log.exception("the metrics could not be read")
        why = Unavailable(f"the metrics could not be read ({type(error).__name__}: {error})"[:300])
        return Samples(Rounds(now), now, {one.name: why for one in resource.spec.analysis.metrics})


def _read_due_samples(
    world: World, resource: ReleaseResource, workload: Workload, route: Route | None, now: float
) -> Samples | None:
    status, step = resource.status, resource.spec.analysis.interval
    if find_judging_start(status) is None or not _needs_metrics(status, workload, route):
        return None
    since, end = _find_read_start(status, now, step), world.metrics.final_until(now)
    if end <= since:
        return None
    # The history before the release is read once, in coarse steps, as it only shows stable's usual
    # rate.
    history = 0.0 if since == status.judged_until else HISTORY
    reading = _plan_reading((resource, workload, route), (since, end), history)
    answers = world.metrics.read(*reading.question)
    return None if isinstance(answers, PendingAnswer) else reading.samples(answers)


def _needs_metrics(status: Status, workload: Workload, route: Route | None) -> bool:
    """Return whether the analysis, or the drain of a canary, needs metrics now."""
    if status.intent is not Intent.ROLL_BACK:
        return status.intent in JUDGED_INTENTS
    return workload.canary is not None and (route is None or route.weight == 0)


def _find_read_start(status: Status, now: float, step: float) -> float:
    """Return the time to read metrics from (seconds): the end of the judged range, or the start.

    It is at most `MAX_LOOKBACK` ago, and never in the future.
    """
    since = status.judged_until
    if since is None or not isinstance(read_judge_state(status, now), JudgeState):
        # After the promotion earlier requests belong to another version with the same name.
        baking = status.intent is Intent.BAKE and status.bake_started_at is not None
        start = status.bake_started_at if baking else None
        begun = status.release.started_at if status.release is not None else now
        since = _align_to_grid(min(begun if start is None else start, now) - HISTORY, step)
    return since if now - MAX_LOOKBACK <= since <= now else _align_to_grid(now - MAX_LOOKBACK, step)


def read_samples(
    source: MetricSource,
    release: tuple[ReleaseResource, Workload, Route | None],
    between: tuple[float, float],
    history: float = 0.0,
) -> Samples:
    """Return the samples of the spec's metrics between two times (seconds), round by round.

    The first `history` seconds are read in coarse steps. Raises TransientError.
    """
    reading = _plan_reading(release, between, history)
    return reading.samples(source.read(*reading.question))


@dataclass(frozen=True, slots=True)
class _MetricReading:
    """The queries for a release, and how to turn their answers into samples."""

    compiled: Mapping[str, Compiled | NoData]
    started: Mapping[str, float]
    between: tuple[float, float]
    question: tuple[Sequence[SeriesQuery], float, float, float]
    """The arguments of MetricSource.read."""

    def samples(self, answers: Mapping[str, MetricAnswer]) -> Samples:
        """Return the samples of the answers, round by round."""
        raw = {name: answers_of(one, answers, self.started) for name, one in self.compiled.items()}
        return build_samples(raw, *self.between, self.question[3])


def _plan_reading(
    release: tuple[ReleaseResource, Workload, Route | None],
    between: tuple[float, float],
    history: float,
) -> _MetricReading:
    resource, workload, _ = release
    (since, end), compiled = between, _compile_metrics(*release)
    queries = [
        replace(one, history=history) if one.raw else replace(one, since=since)
        for one in _flatten_queries(compiled)
    ]
    start = floor(since + history - LOOKBACK)
    question = queries, start, floor(end), resource.spec.analysis.interval
    return _MetricReading(compiled, _find_new_pods(workload, since), between, question)


def _find_new_pods(workload: Workload, since: float) -> dict[str, float]:
    """Return the pods that started after the analyzed range, with their start times."""
    sides = (workload.target, workload.canary)
    pods = (pod for side in sides if side is not None for pod in side.pods)
    ready = ((pod.name, pod.ready_since) for pod in pods)
    return {name: at for name, at in ready if at is not None and at > since}


def list_queries(
    resource: ReleaseResource, workload: Workload, route: Route | None
) -> list[SeriesQuery]:
    """Return the queries of this release, for sources that store only what is queried."""
    return _flatten_queries(_compile_metrics(resource, workload, route))


def list_display_queries(
    resource: ReleaseResource, workload: Workload, route: Route | None
) -> list[SeriesQuery]:
    """Return queries to paste into Prometheus that show the metrics of the release."""
    found = [
        one
        for one in _compile_metrics(resource, workload, route).values()
        if not isinstance(one, NoData)
    ]
    return [
        query
        for one in found
        for query in (one.for_people() if isinstance(one, RatioQueries) else one.queries())
    ]


def _flatten_queries(compiled: Mapping[str, Compiled | NoData]) -> list[SeriesQuery]:
    return [q for one in compiled.values() if not isinstance(one, NoData) for q in one.queries()]


def _compile_metrics(
    resource: ReleaseResource, workload: Workload, route: Route | None
) -> dict[str, Compiled | NoData]:
    """Compile the metrics of the spec; one that cannot be compiled becomes NoData."""
    context = _build_query_context(resource, workload, route)
    compiled: dict[str, Compiled | NoData] = {}
    for metric in resource.spec.analysis.metrics:
        try:
            compiled[metric.name] = compile_metric(metric, context)
        except UsageError as error:
            compiled[metric.name] = NoData(str(error))
    return compiled


def _build_query_context(
    resource: ReleaseResource, workload: Workload, route: Route | None
) -> Context:
    target = tuple(pod.name for pod in workload.target.pods) if workload.target else ()
    canary = tuple(pod.name for pod in workload.canary.pods) if workload.canary else ()
    backends = route.backends if route else {}
    if resource.status.intent is Intent.BAKE:
        # After the promotion the target itself is analyzed, without a version to compare with.
        alone = {Side.CANARY: backends[Side.STABLE]} if backends else {}
        return Context(resource.namespace, {Side.CANARY: target}, alone)
    return Context(resource.namespace, {Side.STABLE: target, Side.CANARY: canary}, backends)


def _align_to_grid(time: float, step: float) -> float:
    return floor(time / step) * step
