"""Reads two groups of series from a metric source, and follows them while they grow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, floor

from canary.api import Analysis, Metric
from canary.core.increments import Grid, Side
from canary.core.sampling import (
    PoolAnswers,
    RatioAnswers,
    RawAnswers,
    expects_codes,
    is_code,
    samples_of,
)
from canary.core.series import Found, MetricAnswer, SeriesQuery, Unavailable
from canary.errors import CanaryError, ExitCode, TransientError, UsageError
from canary.gates.compare import LOOKBACK, Look, Span, State, look
from canary.gates.groups import GROUP, ROUTERS, Groups, answered, own_queries, probe_of, queries_of
from canary.interfaces import MetricSource
from canary.metrics.compile import counting_preset
from canary.metrics.presets import RATIOS, RatioPreset

_PROBES = 100
"""Points in which a preset's series are looked for."""


class NothingThereError(CanaryError):
    """The monitoring answers, and has nothing that could be judged."""

    exit_code = ExitCode.INCONCLUSIVE


Answered = RawAnswers | MetricAnswer


def read(
    source: MetricSource, metrics: Sequence[Metric], groups: Groups, grid: Grid
) -> dict[str, Answered]:
    """What was scraped, by metric. Raises UsageError for a query that cannot be asked."""

    def ask(queries: Sequence[SeriesQuery]) -> Mapping[str, MetricAnswer]:
        return source.read(queries, grid.start, grid.end, grid.step)

    answers = dict(ask(queries_of(metrics, groups)))
    if own := own_queries(metrics, groups, answers):
        answers |= ask(own)
    return {metric.name: answered(metric, groups, answers) for metric in metrics}


def available(by_metric: Mapping[str, Answered]) -> Mapping[str, Answered]:
    """The same; raises TransientError where the monitoring system could not be asked."""
    for one in by_metric.values():
        for answer in _answers(one):
            if isinstance(answer, Unavailable):
                raise TransientError(answer.why)
    return by_metric


def _answers(one: Answered) -> tuple[object, ...]:
    match one:
        case RatioAnswers():
            return one.total, one.bad, one.good
        case PoolAnswers():
            return one.in_use, one.maximum, one.idle, one.waiting, one.timeouts, one.hold
        case _:
            return (one,)


def follow(
    source: MetricSource,
    analysis: Analysis,
    groups: Groups,
    span: Span,
    time: tuple[Callable[[], float], Callable[[float], object]],
) -> Iterator[Look]:
    """One look per interval until the end of the span; the first at once, at stable's history.

    `time` is the clock (seconds since the epoch) and a way to wait for some seconds. Raises
    TransientError when the monitoring cannot be asked at the first look; later it is a verdict.
    """
    now, wait = time
    state: State | None = None
    since, last = span.since, span.since
    while last < span.end:
        settled = source.settled(now())
        end = min(Span.of(settled, settled, span.step).end, span.end)
        if end <= last:
            wait(max(last + span.step - settled, 0.1))
            continue
        grid = Grid(floor(since - LOOKBACK), end, span.step)
        answers = read(source, analysis.metrics, groups, grid)
        if state is None:
            available(answers)
        judged = look(analysis, span, state, samples_of(answers, since, end, span.step), end)
        state, since, last = judged.state, judged.until or since, end
        yield Look(end, judged)


def found_preset(source: MetricSource, groups: Groups, start: float, end: float) -> str:
    """The first ratio preset whose series exist, best for both groups.

    Raises:
        NothingThereError: there is none; says what was tried.
        TransientError: the monitoring cannot be asked.
    """
    given = {one.label for one in groups.stable} & {one.label for one in groups.canary}
    usable = [preset for preset in RATIOS if set(preset.required) <= given]
    sides = {
        preset.name: _complete(preset, _probed(source, preset, groups, (start, end)))
        for preset in usable
    }
    best = max(sides, key=lambda name: len(sides[name]))
    if not sides[best]:
        raise NothingThereError(
            f"no preset finds requests of these series (tried: {', '.join(sides)}): check the "
            "labels and the time, or name the counters with --total and --bad"
        )
    return best


def check_presets(
    source: MetricSource, metrics: Sequence[Metric], groups: Groups, span: tuple[float, float]
) -> None:
    """Refuses a preset whose label for bad requests the series lack: none would ever be bad.

    Raises:
        UsageError: names the label.
        TransientError: the monitoring cannot be asked.
    """
    for metric in metrics:
        if (preset := counting_preset(metric)) is None:
            continue
        if groups.router is not None and preset.name in ROUTERS:
            continue
        found = _probed(source, preset, groups, span)
        if found and not _complete(preset, found):
            raise UsageError(
                f"{metric.name}: the preset {preset.name!r} tells bad requests by the label "
                f"{preset.bad.label!r}, and {preset.total.metric} has no such label here, or no "
                "status codes in it: "
                "no request would ever count as bad; choose another preset, or --total and --bad"
            )


def _complete(preset: RatioPreset, found: Sequence[Mapping[str, str]]) -> frozenset[Side]:
    """The sides with series that have every label on which the preset has a condition."""
    labels = {one.label for one in (*preset.total.matchers, preset.bad)}
    codes = expects_codes(preset.bad)
    return frozenset(
        Side(one[GROUP])
        for one in found
        if all(one.get(label) for label in labels) and (not codes or is_code(one[preset.bad.label]))
    )


def _probed(
    source: MetricSource, preset: RatioPreset, groups: Groups, span: tuple[float, float]
) -> list[Mapping[str, str]]:
    step = float(max(1, ceil((span[1] - span[0]) / _PROBES)))
    grid = Span.of(*span, step)
    query = probe_of(preset, groups)
    answer = source.read((query,), grid.start, grid.end, step)[query.key]
    if isinstance(answer, Unavailable):
        raise TransientError(answer.why)
    return [one.labels for one in answer.series] if isinstance(answer, Found) else []
