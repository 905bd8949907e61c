"""Two groups of series and a metric, as queries; and the answers, as what the judge folds. Pure.

A release knows its pods; here all that is known of a version is a condition on labels. Both sides
are asked for in one query, each marked with its name, so that an answer is whole or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from canary.api import Metric, RatioSource
from canary.core.buckets import LE
from canary.core.increments import Side
from canary.core.series import (
    Found,
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.core.snapshot import PoolSamples, RatioSamples
from canary.errors import UsageError
from canary.metrics.compile import compile_metric, counting_preset, preset_of, slow_of
from canary.metrics.compiler import (
    UNASKED,
    Context,
    RatioQueries,
    latency_preset,
    pool_preset,
    ratio_samples,
)
from canary.metrics.presets import PoolPreset, RatioPreset
from canary.metrics.promql import promql
from canary.metrics.selectors import parse_selector

GROUP = "group"
"""The label that says whose a series is: `canary/POD`, or the instance where there is no pod."""
_PROCESS: tuple[str, ...] = ("pod", "instance")
"""Counters are summed per process: one that restarts must not reset the others' sum."""
_BUCKETS = (*_PROCESS, LE)

ROUTERS = frozenset({"istio", "istio-grpc", "linkerd", "traefik"})
"""Presets whose backends are named like Deployments and Services."""

Answers = Mapping[str, MetricAnswer]


@dataclass(frozen=True, slots=True)
class Groups:
    """Which series are the canary's, and which are stable's."""

    canary: tuple[Matcher, ...]
    stable: tuple[Matcher, ...]
    router: Context | None = None
    """What a router calls the two, for its own metrics: it knows no pods of theirs."""

    def of(self, side: Side) -> tuple[Matcher, ...]:
        """The conditions of one side."""
        return self.canary if side is Side.CANARY else self.stable


def side_of(group: str) -> Side:
    """The side that a value of GROUP names."""
    return Side(group.partition("/")[0])


def queries_of(metrics: Sequence[Metric], groups: Groups) -> tuple[SeriesQuery, ...]:
    """What to ask for all metrics but the user's own expressions.

    Raises:
        UsageError: no such preset, not a selector, or a label that is none.
    """
    return tuple(query for metric in metrics for query in _queries(metric, groups))


def asked(metrics: Sequence[Metric], groups: Groups) -> dict[str, str]:
    """PromQL of what each metric counts, to paste; not of the user's own expressions."""
    return {
        metric.name: promql(queries[0])
        for metric in metrics
        if (queries := _queries(metric, groups))
    }


def own_queries(
    metrics: Sequence[Metric], groups: Groups, answers: Answers
) -> tuple[SeriesQuery, ...]:
    """The user's own expressions, for the pods that the other answers name. Raises UsageError."""
    pods = {side: _pods(answers, side) for side in Side}
    spaces = (one.value for one in groups.canary if one.label == "namespace")
    context = Context(next(spaces, ""), pods)
    own = [metric for metric in metrics if metric.kind == "query"]
    return tuple(query for metric in own for query in compile_metric(metric, context).queries())


def total_of(metric: Metric) -> Selector:
    """The counter of all requests of a share of them, without a side. Raises UsageError."""
    if metric.latency is not None:
        return latency_preset(metric.latency.preset).part("count")
    if (preset := counting_preset(metric)) is not None:
        return preset.total
    return parse_selector((metric.ratio and metric.ratio.total) or "")


def counted_by(metric: Metric) -> Selector | None:
    """Series that are there as long as a version is; None for a user's own expression."""
    if metric.is_request_share:
        return total_of(metric)
    return None if metric.pool is None else pool_preset(metric.pool.preset).in_use


def probe_of(preset: RatioPreset, groups: Groups) -> SeriesQuery:
    """All requests that a preset would count, by every label that it has a condition on."""
    labels = tuple(dict.fromkeys(one.label for one in (*preset.total.matchers, preset.bad)))
    return _both(preset.name, (preset.total, None), labels, groups)


def sampled(
    metric: Metric, groups: Groups, answers: Answers
) -> RatioSamples | PoolSamples | MetricAnswer:
    """What the judge folds of one metric."""

    def answer(part: str) -> MetricAnswer:
        return _marked(answers.get(f"{metric.name}.{part}", UNASKED))

    if metric.is_request_share:
        if routed := _routed(metric, groups):
            return routed.samples(answers)
        return ratio_samples(answer("total"), answer("bad"), GROUP, side_of, slow_of(metric))
    if metric.pool is None:
        return answers.get(metric.name, UNASKED)
    preset = pool_preset(metric.pool.preset)
    return PoolSamples(
        answer("in_use"),
        answer("max") if metric.pool.max is None else float(metric.pool.max),
        answer("waiting") if preset.waiting else None,
        answer("timeouts") if preset.timeouts else None,
        answer("hold") if preset.hold else None,
        preset.hold_unit,
        GROUP,
        side_of,
    )


def _queries(metric: Metric, groups: Groups) -> list[SeriesQuery]:
    if metric.is_request_share:
        return _ratio(metric, groups)
    return _pool(metric, groups) if metric.pool is not None else []


def _routed(metric: Metric, groups: Groups) -> RatioQueries | None:
    """The queries that the operator asks of a router; None for metrics of the pods."""
    if groups.router is None or metric.pool is not None or metric.preset not in ROUTERS:
        return None
    compiled = compile_metric(metric, groups.router)
    return compiled if isinstance(compiled, RatioQueries) else None


def _ratio(metric: Metric, groups: Groups) -> list[SeriesQuery]:
    if routed := _routed(metric, groups):
        return list(routed.queries())
    total, by = total_of(metric), _PROCESS
    if (preset := preset_of(metric)) is not None:
        _require(preset.name, preset.required, groups)
    good: Selector | None = None
    if (counting := counting_preset(metric)) is not None:
        bad = _narrowed(total, (counting.bad,))
    elif (slow := slow_of(metric)) is not None and metric.latency is not None:
        near = Matcher(LE, MatchOp.REGEX, slow.pattern())
        bad, by = _narrowed(latency_preset(metric.latency.preset).part("bucket"), (near,)), _BUCKETS
    else:
        source = metric.ratio or RatioSource()
        bad = parse_selector(source.bad) if source.bad else total
        good = parse_selector(source.good) if source.good else None
    return [
        _both(f"{metric.name}.total", (total, None), _PROCESS, groups),
        _both(f"{metric.name}.bad", (bad, good), by, groups),
    ]


def _pool(metric: Metric, groups: Groups) -> list[SeriesQuery]:
    assert metric.pool is not None  # noqa: S101 - the caller looked
    preset = pool_preset(metric.pool.preset)
    _require(preset.name, preset.required, groups)
    by = (*_PROCESS, *preset.pools)
    parts = [("in_use", preset.in_use), ("waiting", preset.waiting)]
    parts += [("timeouts", preset.timeouts), ("hold", preset.hold)]
    found = [
        _both(f"{metric.name}.{part}", (one, preset.idle if part == "in_use" else None), by, groups)
        for part, one in parts
        if one is not None
    ]
    return found if metric.pool.max is not None else [*found, _maximum(metric, preset, groups)]


def _maximum(metric: Metric, preset: PoolPreset, groups: Groups) -> SeriesQuery:
    key, selector = f"{metric.name}.max", preset.maximum
    if selector is None:
        raise UsageError(f"the preset {preset.name!r} needs the pool's size. {preset.trap or ''}")
    if preset.shared_maximum:
        return SeriesQuery(key, selector, ("instance",))
    return _both(key, (selector, None), (*_PROCESS, *preset.pools), groups)


def _require(name: str, labels: Sequence[str], groups: Groups) -> None:
    for side in Side:
        given = {one.label for one in groups.of(side)}
        if missing := [label for label in labels if label not in given]:
            raise UsageError(
                f"the preset {name!r} needs a condition on the label {missing[0]!r} "
                f"in --{side.value}: without one it would count other people's requests"
            )


def _both(
    key: str, parts: tuple[Selector, Selector | None], by: tuple[str, ...], groups: Groups
) -> SeriesQuery:
    """One expression for both sides, each series marked with its side."""
    marked = (_side(key, parts, by, groups, side) for side in Side)
    return SeriesQuery(key, parts[0], (*by, GROUP), promql=" or ".join(marked))


def _side(
    key: str,
    parts: tuple[Selector, Selector | None],
    by: tuple[str, ...],
    groups: Groups,
    side: Side,
) -> str:
    plus, minus = (one and _narrowed(one, groups.of(side)) for one in parts)
    try:
        text = promql(SeriesQuery(key, plus or parts[0], by, minus))
    except ValueError as error:
        raise UsageError(f"the {side.value}'s query {key!r} cannot be asked: {error}") from error
    return f'label_replace({text}, "{GROUP}", "{side.value}", "", "")'


def _narrowed(selector: Selector, matchers: tuple[Matcher, ...]) -> Selector:
    return replace(selector, matchers=(*selector.matchers, *matchers))


def _marked(answer: MetricAnswer) -> MetricAnswer:
    """The same series; who a series is comes into the one label that separates the sides."""
    match answer:
        case Found(series):
            return Found(tuple(replace(one, labels=_labels(one.labels)) for one in series))
        case NoData() | Unavailable():
            return answer


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if GROUP not in labels:  # one number for a whole server belongs to no side
        return dict(labels)
    who = labels.get("pod") or labels.get("instance", "")
    kept = {name: value for name, value in labels.items() if name != "pod"}
    return kept | {GROUP: f"{labels[GROUP]}/{who}"}


def _pods(answers: Answers, side: Side) -> tuple[str, ...]:
    series: list[Series] = []
    for answer in answers.values():
        series += answer.series if isinstance(answer, Found) else ()
    mine = {one.labels.get("pod") for one in series if one.labels.get(GROUP) == side.value}
    return tuple(sorted(pod for pod in mine if pod))
