"""Builds queries for two groups of series, and combines the answers for the analysis. Pure.

During a release the operator knows the pods of each version. Here only label matchers select the
series of a version, so each group is queried separately. If the series of one group cannot be read
completely, the metric has no data.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from canary.api import Metric
from canary.core.buckets import LE
from canary.core.increments import Side
from canary.core.sampling import PoolAnswers, RatioAnswers, RawAnswers
from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.errors import UsageError
from canary.metrics.presets import RatioPreset, latency_preset, pool_preset
from canary.metrics.promql import format_promql
from canary.metrics.queries import (
    UNASKED,
    Context,
    RatioQueries,
    answers_of,
    compile_metric,
    counting_preset,
    known_by,
    preset_of,
    slow_of,
    told_apart,
)
from canary.metrics.selectors import parse_selector

GROUP_LABEL = "group"
"""Label with the group and pod of a series: `canary/POD`, or the instance if there is no pod."""
_PROCESS_LABELS = ("pod", "instance")

ROUTER_PRESETS = frozenset({"istio", "istio-grpc", "linkerd", "traefik"})
"""Presets whose metrics name Deployments or Services."""

AnswersByKey = Mapping[str, MetricAnswer]


@dataclass(frozen=True, slots=True)
class SeriesGroups:
    """Label matchers for canary and stable."""

    canary: tuple[Matcher, ...]
    stable: tuple[Matcher, ...]
    router: Context | None = None
    """Names of canary and stable in the router's own metrics, which have no pod label."""

    def select_side(self, side: Side) -> tuple[Matcher, ...]:
        """Return the matchers of one group."""
        return self.canary if side is Side.CANARY else self.stable


def side_of(group: str) -> Side:
    """Return the group that a value of GROUP_LABEL belongs to."""
    return Side(group.partition("/")[0])


def build_queries(metrics: Sequence[Metric], groups: SeriesGroups) -> tuple[SeriesQuery, ...]:
    """Return the queries of all metrics except custom expressions.

    Raises:
        UsageError: the preset does not exist, or a selector or label is invalid.
    """
    return tuple(query for metric in metrics for query in _metric_queries(metric, groups))


def queries_as_promql(metrics: Sequence[Metric], groups: SeriesGroups) -> dict[str, str]:
    """Return the PromQL that counts each metric's requests; custom expressions are omitted."""
    found = {metric.name: _metric_queries(metric, groups)[: len(Side)] for metric in metrics}
    return {
        name: " or ".join(map(format_promql, queries)) for name, queries in found.items() if queries
    }


def build_own_queries(
    metrics: Sequence[Metric], groups: SeriesGroups, answers: AnswersByKey
) -> tuple[SeriesQuery, ...]:
    """Return the queries of custom expressions for the pods in the answers. Raises UsageError."""
    pods = {side: _pods_of_side(answers, side) for side in Side}
    spaces = (one.value for one in groups.canary if one.label == "namespace")
    context = Context(next(spaces, ""), pods)
    own = [metric for metric in metrics if metric.kind == "query"]
    return tuple(query for metric in own for query in compile_metric(metric, context).queries())


def total_selector(metric: Metric) -> Selector:
    """Return the selector of a ratio's total requests, of both groups. Raises UsageError."""
    if metric.latency is not None:
        return latency_preset(metric.latency.preset).part("count")
    if (preset := counting_preset(metric)) is not None:
        return preset.total
    return parse_selector((metric.ratio and metric.ratio.total) or "")


def presence_selector(metric: Metric) -> Selector | None:
    """Return a selector of series that exist while a version runs; None for custom expressions."""
    if metric.is_request_share:
        return total_selector(metric)
    return None if metric.pool is None else pool_preset(metric.pool.preset).in_use


def build_probe(preset: RatioPreset, groups: SeriesGroups) -> SeriesQuery:
    """Return a query of all requests of a preset, by each label that the preset matches."""
    labels = tuple(dict.fromkeys(one.label for one in (*preset.total.matchers, preset.bad)))
    return _query_both_sides(preset.name, preset.total, labels, groups)


def collect_answers(
    metric: Metric, groups: SeriesGroups, answers: AnswersByKey
) -> RawAnswers | MetricAnswer:
    """Return the raw answers of one metric; each series has the label of its group."""

    def answer(part: str) -> MetricAnswer:
        return _join_sides(
            [
                _mark_side(answers.get(f"{metric.name}.{part}.{side}", UNASKED), side)
                for side in Side
            ]
        )

    if metric.is_request_share:
        return _collect_ratio(metric, groups, answers, answer)
    if metric.pool is None:
        return answers.get(metric.name, UNASKED)
    preset = pool_preset(metric.pool.preset)
    shared = answers.get(f"{metric.name}.max", UNASKED)
    maximum = shared if preset.shared_maximum else answer("max")
    return PoolAnswers(
        answer("in_use"),
        maximum if metric.pool.max is None else float(metric.pool.max),
        (GROUP_LABEL, "instance", *preset.pools),
        GROUP_LABEL,
        side_of,
        answer("idle") if preset.idle else None,
        answer("waiting") if preset.waiting else None,
        answer("timeouts") if preset.timeouts else None,
        answer("hold") if preset.hold else None,
        preset.hold_unit,
        apart=preset.backend is None,
    )


def _collect_ratio(
    metric: Metric,
    groups: SeriesGroups,
    answers: AnswersByKey,
    answer: Callable[[str], MetricAnswer],
) -> RatioAnswers | MetricAnswer:
    if routed := _router_queries(metric, groups):
        found = answers_of(routed, answers)
        return found if isinstance(found, RatioAnswers) else UNASKED
    parts = _ratio_parts(metric)
    return RatioAnswers(
        parts.total.metric,
        answer("total"),
        GROUP_LABEL,
        side_of,
        parts.matchers,
        answer("bad") if parts.bad else None,
        answer("good") if parts.good else None,
        bad_is=parts.bad,
        known=answers.get(f"{metric.name}.known", UNASKED) if parts.bad else None,
        slow=slow_of(metric),
    )


def _metric_queries(metric: Metric, groups: SeriesGroups) -> list[SeriesQuery]:
    if metric.is_request_share:
        return _ratio_queries(metric, groups)
    return _pool_queries(metric, groups) if metric.pool is not None else []


def _router_queries(metric: Metric, groups: SeriesGroups) -> RatioQueries | None:
    """Return the operator's queries for a router's metrics; None for metrics of pods."""
    if groups.router is None or metric.pool is not None or metric.preset not in ROUTER_PRESETS:
        return None
    compiled = compile_metric(metric, groups.router)
    return compiled if isinstance(compiled, RatioQueries) else None


@dataclass(frozen=True, slots=True)
class _RatioParts:
    """The counters of a ratio. `matchers` select bad requests if `total` counts them as well."""

    total: Selector
    matchers: tuple[Matcher, ...] = ()
    bad: Selector | None = None
    good: Selector | None = None


def _ratio_parts(metric: Metric) -> _RatioParts:
    total, source = total_selector(metric), metric.ratio
    if (counting := counting_preset(metric)) is not None:
        return _RatioParts(total, (counting.bad,))
    if (slow := slow_of(metric)) is not None and metric.latency is not None:
        near = Matcher(LE, MatchOp.REGEX, slow.bound_pattern())
        return _RatioParts(
            total, good=_add_matchers(latency_preset(metric.latency.preset).part("bucket"), (near,))
        )
    bad = parse_selector(source.bad) if source and source.bad else None
    if bad is not None and (told := told_apart(total, bad)):
        return _RatioParts(total, told)
    good = parse_selector(source.good) if source and source.good else None
    return _RatioParts(total, (), bad, good)


def _ratio_queries(metric: Metric, groups: SeriesGroups) -> list[SeriesQuery]:
    if routed := _router_queries(metric, groups):
        return list(routed.queries())
    if (preset := preset_of(metric)) is not None:
        _require_labels(preset.name, preset.required, groups)
    parts = _ratio_parts(metric)
    named = (("total", parts.total), ("bad", parts.bad), ("good", parts.good))
    queries = _queries_per_side(metric.name, named, groups)
    known = (
        known_by(f"{metric.name}.known", metric.ratio.bad if metric.ratio else None)
        if parts.bad
        else None
    )
    return [*queries, known] if known else queries


def _pool_queries(metric: Metric, groups: SeriesGroups) -> list[SeriesQuery]:
    assert metric.pool is not None  # noqa: S101 - the caller looked
    preset = pool_preset(metric.pool.preset)
    _require_labels(preset.name, preset.required, groups)
    named = [("in_use", preset.in_use), ("idle", preset.idle), ("waiting", preset.waiting)]
    named += [("timeouts", preset.timeouts), ("hold", preset.hold)]
    if metric.pool.max is not None:
        return _queries_per_side(metric.name, named, groups)
    if preset.maximum is None:
        raise UsageError(f"the preset {preset.name!r} needs the pool's size. {preset.trap or ''}")
    if preset.shared_maximum:
        shared = SeriesQuery(f"{metric.name}.max", preset.maximum, ("instance",), raw=True)
        return [*_queries_per_side(metric.name, named, groups), shared]
    return _queries_per_side(metric.name, [*named, ("max", preset.maximum)], groups)


def _queries_per_side(
    name: str, parts: Iterable[tuple[str, Selector | None]], groups: SeriesGroups
) -> list[SeriesQuery]:
    """Return the queries `NAME.PART.SIDE`, one per group."""
    found = []
    for part, selector in parts:
        for side in Side if selector is not None else ():
            key = f"{name}.{part}.{side}"
            narrowed = _add_matchers(selector, groups.select_side(side)) if selector else None
            query = SeriesQuery(key, narrowed or Selector(name), _PROCESS_LABELS, raw=True)
            try:
                format_promql(query)
            except ValueError as error:
                raise UsageError(f"the query {key!r} is invalid: {error}") from error
            found.append(query)
    return found


def _require_labels(name: str, labels: Sequence[str], groups: SeriesGroups) -> None:
    for side in Side:
        given = {one.label for one in groups.select_side(side)}
        if missing := [label for label in labels if label not in given]:
            raise UsageError(
                f"the preset {name!r} needs a matcher for the label {missing[0]!r} in "
                f"--{side.value}: without it the requests of other services would count"
            )


def _query_both_sides(
    key: str, selector: Selector, by: tuple[str, ...], groups: SeriesGroups
) -> SeriesQuery:
    """Return one expression for both groups; each series has the label of its group."""
    marked = (_side_promql(key, selector, by, groups, side) for side in Side)
    return SeriesQuery(key, selector, (*by, GROUP_LABEL), promql=" or ".join(marked))


def _side_promql(
    key: str, selector: Selector, by: tuple[str, ...], groups: SeriesGroups, side: Side
) -> str:
    narrowed = _add_matchers(selector, groups.select_side(side))
    try:
        text = format_promql(SeriesQuery(key, narrowed, by))
    except ValueError as error:
        raise UsageError(f"the {side.value}'s query {key!r} is invalid: {error}") from error
    return f'label_replace({text}, "{GROUP_LABEL}", "{side.value}", "", "")'


def _add_matchers(selector: Selector, matchers: tuple[Matcher, ...]) -> Selector:
    return replace(selector, matchers=(*selector.matchers, *matchers))


def _mark_side(answer: MetricAnswer, side: Side) -> MetricAnswer:
    """Return the same series with GROUP_LABEL instead of the labels that identify its process."""
    match answer:
        case FoundSeries(series, odd):
            marked = tuple(replace(one, labels=_label_side(one.labels, side)) for one in series)
            return FoundSeries(marked, tuple(_label_side(one, side) for one in odd))
        case NoData() | Unavailable():
            return answer


def _label_side(labels: Mapping[str, str], side: Side) -> dict[str, str]:
    who = labels.get("pod") or labels.get("instance", "")
    return {**labels, GROUP_LABEL: f"{side.value}/{who}"}


def _join_sides(sides: Sequence[MetricAnswer]) -> MetricAnswer:
    """Combine both groups; if one could not be read completely, the result is no data."""
    for one in sides:
        if isinstance(one, Unavailable) or (isinstance(one, NoData) and one.partial):
            return one
    there = [one for one in sides if isinstance(one, FoundSeries)]
    if not there:
        return sides[0]
    series = tuple(series for one in there for series in one.series)
    return FoundSeries(series, tuple(labels for one in there for labels in one.not_numbers))


def _pods_of_side(answers: AnswersByKey, side: Side) -> tuple[str, ...]:
    series: list[Series] = []
    for key, answer in answers.items():
        mine = key.endswith(f".{side}") and isinstance(answer, FoundSeries)
        series += answer.series if mine and isinstance(answer, FoundSeries) else ()
    pods = {one.labels.get("pod") for one in series}
    return tuple(sorted(pod for pod in pods if pod))
