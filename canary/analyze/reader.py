"""Reads two groups of series from a metric source, and follows them while they grow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, floor

from canary.analyze.evaluation import LOOKBACK, AnalysisState, AnalysisWindow, Evaluation, evaluate
from canary.analyze.series import (
    GROUP_LABEL,
    ROUTER_PRESETS,
    SeriesGroups,
    build_own_queries,
    build_probe,
    build_queries,
    collect_answers,
)
from canary.api import Analysis, Metric
from canary.core.increments import Grid, Side
from canary.core.sampling import (
    PoolAnswers,
    RatioAnswers,
    RawAnswers,
    build_samples,
    explain_unmatched,
)
from canary.core.series import FoundSeries, MetricAnswer, NoData, Selector, SeriesQuery, Unavailable
from canary.errors import CanaryError, ExitCode, TransientError, UsageError
from canary.interfaces import MetricSource
from canary.metrics.native import native_of
from canary.metrics.presets import RATIOS, RatioPreset
from canary.metrics.queries import counting_preset

_PROBE_POINTS = 100
"""Number of points in the query that searches for a preset's series."""


class NoSeriesError(CanaryError):
    """The monitoring system answers, but has no series that could be analyzed."""

    exit_code = ExitCode.INCONCLUSIVE


MetricAnswers = RawAnswers | MetricAnswer


def read_metrics(
    source: MetricSource, metrics: Sequence[Metric], groups: SeriesGroups, grid: Grid
) -> dict[str, MetricAnswers]:
    """Return the samples of each metric. Raises UsageError for an invalid query."""

    def ask(queries: Sequence[SeriesQuery]) -> Mapping[str, MetricAnswer]:
        return source.read(queries, grid.start, grid.end, grid.step)

    answers = dict(ask(build_queries(metrics, groups)))
    if own := build_own_queries(metrics, groups, answers):
        answers |= ask(own)
    return {metric.name: collect_answers(metric, groups, answers) for metric in metrics}


def check_available(by_metric: Mapping[str, MetricAnswers]) -> Mapping[str, MetricAnswers]:
    """Return the same samples. Raises TransientError if the monitoring system cannot be queried."""
    for one in by_metric.values():
        for answer in _answers_of(one):
            if isinstance(answer, Unavailable):
                raise TransientError(answer.why)
    return by_metric


def _answers_of(one: MetricAnswers) -> tuple[object, ...]:
    match one:
        case RatioAnswers():
            return one.total, one.bad, one.good
        case PoolAnswers():
            return one.in_use, one.maximum, one.idle, one.waiting, one.timeouts, one.hold
        case _:
            return (one,)


def follow_metrics(
    source: MetricSource,
    analysis: Analysis,
    groups: SeriesGroups,
    span: AnalysisWindow,
    time: tuple[Callable[[], float], Callable[[float], object]],
) -> Iterator[Evaluation]:
    """Yield an evaluation per interval until the end of the window; the first one immediately.

    `time` is the clock (seconds since the epoch) and a function that waits for some seconds.

    Raises TransientError if the first query fails; a later failure is a verdict.
    """
    now, wait = time
    state: AnalysisState | None = None
    since, last = span.since, span.since
    while last < span.end:
        settled = source.final_until(now())
        end = min(AnalysisWindow.from_times(settled, settled, span.step).end, span.end)
        if end <= last:
            wait(max(last + span.step - settled, 0.1))
            continue
        grid = Grid(floor(since - LOOKBACK), end, span.step)
        answers = read_metrics(source, analysis.metrics, groups, grid)
        if state is None:
            check_available(answers)
        judged = evaluate(analysis, span, state, build_samples(answers, since, end, span.step), end)
        state, since, last = judged.state, judged.until or since, end
        yield Evaluation(end, judged)


def detect_preset(source: MetricSource, groups: SeriesGroups, start: float, end: float) -> str:
    """Return the first ratio preset whose series exist, preferably for both groups.

    Raises:
        NothingThereError: there is none, or not every series could be read.
        TransientError: the monitoring system cannot be queried.
    """
    given = {one.label for one in groups.stable} & {one.label for one in groups.canary}
    usable = [preset for preset in RATIOS if set(preset.required) <= given]
    probed = {one.name: _probe_preset(source, one, groups, (start, end)) for one in usable}
    best = max(usable, key=lambda one: _rank_preset(one, probed[one.name]))
    if _rank_preset(best, probed[best.name])[0]:
        return best.name
    why = {one.name: _explain_unusable(one, probed[one.name]) for one in usable if probed[one.name]}
    why |= _find_native_histograms(source, usable, groups, (start, end))
    if why:
        refused = "; ".join(f"{name}: {said}" for name, said in why.items())
        raise NoSeriesError(
            f"no preset can identify bad requests in these series ({refused}): name the counters "
            "with "
            "--total and --bad"
        )
    raise NoSeriesError(
        f"no preset matches these series (tried: {', '.join(probed)}): check the "
        "labels and the time, or name the counters with --total and --bad"
    )


def _find_native_histograms(
    source: MetricSource,
    presets: Sequence[RatioPreset],
    groups: SeriesGroups,
    span: tuple[float, float],
) -> dict[str, str]:
    """Return presets whose histogram is a native one, with the message that explains it."""
    grid = AnalysisWindow.from_times(*span, 1.0)
    queries = [
        SeriesQuery(
            one.name,
            Selector(one.total.metric, (*one.total.matchers, *groups.stable)),
            (GROUP_LABEL,),
            raw=True,
        )
        for one in presets
        if native_of(one.total)
    ]
    answers = source.read(queries, max(grid.start, grid.end - 60), grid.end, 1.0)
    return {
        name: answer.why
        for name, answer in answers.items()
        if isinstance(answer, NoData) and answer.partial
    }


def check_presets(
    source: MetricSource, metrics: Sequence[Metric], groups: SeriesGroups, span: tuple[float, float]
) -> None:
    """Reject a preset if the series lack its label for bad requests: no request would be bad.

    Raises:
        UsageError: names the missing label.
        NothingThereError: not every series could be read.
        TransientError: the monitoring system cannot be queried.
    """
    for metric in metrics:
        if (preset := counting_preset(metric)) is None:
            continue
        if groups.router is not None and preset.name in ROUTER_PRESETS:
            continue
        if why := _explain_unusable(preset, _probe_preset(source, preset, groups, span)):
            raise UsageError(
                f"{metric.name}: the preset {preset.name!r} cannot be used: {why}; choose another "
                "preset, or --total and --bad"
            )


def _rank_preset(preset: RatioPreset, found: Sequence[Mapping[str, str]]) -> tuple[int, bool]:
    """Return for how many groups it identifies bad requests, and if it excludes health checks."""
    told = [
        side
        for side in Side
        if (own := _labels_of_side(found, side)) and not _explain_side(preset, own)
    ]
    return len(told), all(any(one.get(label) for one in found) for label in preset.left_out)


def _explain_unusable(preset: RatioPreset, found: Sequence[Mapping[str, str]]) -> str:
    """Return why the preset would never see a bad request of a group; empty if it would."""
    for side in Side:
        if (own := _labels_of_side(found, side)) and (why := _explain_side(preset, own)):
            return f"{side}: {why}"
    return ""


def _labels_of_side(found: Sequence[Mapping[str, str]], side: Side) -> list[Mapping[str, str]]:
    return [
        {name: value for name, value in one.items() if name != GROUP_LABEL}
        for one in found
        if one[GROUP_LABEL] == side.value
    ]


def _explain_side(preset: RatioPreset, own: Sequence[Mapping[str, str]]) -> str:
    said = explain_unmatched(preset.total.metric, (preset.bad,), own)
    return said.why if said else ""


def _probe_preset(
    source: MetricSource, preset: RatioPreset, groups: SeriesGroups, span: tuple[float, float]
) -> list[Mapping[str, str]]:
    step = float(max(1, ceil((span[1] - span[0]) / _PROBE_POINTS)))
    grid = AnalysisWindow.from_times(*span, step)
    query = build_probe(preset, groups)
    answer = source.read((query,), grid.start, grid.end, step)[query.key]
    match answer:
        case Unavailable(why):
            raise TransientError(why)
        case NoData(why, partial=True):
            raise NoSeriesError(f"{preset.total.metric}: {why}")
        case NoData():
            return []
        case FoundSeries(series):
            return [one.labels for one in series]
