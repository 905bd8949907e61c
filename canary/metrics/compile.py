"""One metric of a spec, as queries: presets, the user's own selectors, the user's own PromQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from canary.api import Metric, RatioSource
from canary.core.buckets import SlowAbove
from canary.core.increments import Side
from canary.core.sampling import PoolAnswers, RatioAnswers, RawAnswers
from canary.core.series import (
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    SeriesQuery,
)
from canary.errors import UsageError
from canary.metrics.compiler import (
    UNASKED,
    Context,
    PoolQueries,
    RatioQueries,
    client_errors_preset,
    compile_latency,
    compile_pool,
    compile_ratio,
    latency_preset,
    pool_preset,
    ratio_preset,
)
from canary.metrics.presets import LatencyPreset, PoolPreset, RatioPreset
from canary.metrics.promql import one_of
from canary.metrics.selectors import parse_selector

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class OwnQuery:
    """A user's own expression."""

    query: SeriesQuery

    def queries(self) -> tuple[SeriesQuery, ...]:
        """The one."""
        return (self.query,)


Compiled = RatioQueries | PoolQueries | OwnQuery


def compile_metric(metric: Metric, context: Context) -> Compiled:
    """The queries of one metric, for one release.

    Raises:
        UsageError: no such preset, not a selector, or the sides cannot be told apart.
    """
    if (preset := counting_preset(metric)) is not None:
        return compile_ratio(preset, context, metric.name)
    if metric.ratio is not None:
        return _own_ratio(metric.ratio, context, metric.name)
    if (slow := metric.latency) is not None:
        return compile_latency(latency_preset(slow.preset), slow.above, context, metric.name)
    if metric.pool is not None:
        wider = Context(
            context.namespace, context.pods, context.backends, metric.pool.max, context.extra
        )
        return compile_pool(pool_preset(metric.pool.preset), wider, metric.name)
    text = _filled(metric.query or "", context)
    return OwnQuery(SeriesQuery(metric.name, Selector("own"), (), promql=text))


def preset_of(metric: Metric) -> RatioPreset | LatencyPreset | PoolPreset | None:
    """The preset of a metric; None: it has none.

    Raises:
        UsageError: no such preset.
    """
    if metric.latency is not None:
        return latency_preset(metric.latency.preset)
    if metric.pool is not None:
        return pool_preset(metric.pool.preset)
    return counting_preset(metric)


def slow_of(metric: Metric) -> SlowAbove | None:
    """When a request is slow; None: the metric is not about latency. Raises UsageError."""
    if metric.latency is None:
        return None
    return SlowAbove(metric.latency.above, latency_preset(metric.latency.preset).unit)


def counting_preset(metric: Metric) -> RatioPreset | None:
    """The preset of `ratio` or `clientErrors`, whose `bad` is what counts; None: another source.

    Raises:
        UsageError: no such preset.
    """
    if metric.client_errors is not None:
        return client_errors_preset(metric.client_errors.preset)
    if metric.ratio is not None and metric.ratio.preset is not None:
        return ratio_preset(metric.ratio.preset)
    return None


def _own_ratio(ratio: RatioSource, context: Context, key: str) -> RatioQueries:
    side = {pod: side for side, pods in context.pods.items() for pod in pods}
    pods = Matcher("pod", MatchOp.REGEX, one_of(tuple(side)))

    def selector(text: str | None) -> Selector | None:
        return None if text is None else _narrowed(parse_selector(text), pods, context)

    def query(part: str, one: Selector | None) -> SeriesQuery | None:
        return None if one is None else SeriesQuery(f"{key}.{part}", one, ("pod",), raw=True)

    total, bad = selector(ratio.total or ""), selector(ratio.bad)
    assert total is not None  # noqa: S101 - of a text
    queries = RatioQueries(SeriesQuery(f"{key}.total", total, ("pod",), raw=True), "pod", side.get)
    if bad is not None and (told := told_apart(total, bad)):
        return replace(queries, matchers=told)
    good, known = query("good", selector(ratio.good)), known_by(f"{key}.known", ratio.bad)
    return replace(queries, bad=query("bad", bad), good=good, known=known)


def known_by(key: str, bad: str | None) -> SeriesQuery | None:
    """Asks for a counter of bad requests with any labels: it may not exist. Raises UsageError."""
    if bad is None:
        return None
    selector = parse_selector(bad)
    labels = dict.fromkeys(one.label for one in selector.matchers)
    return SeriesQuery(key, Selector(selector.metric), tuple(labels))


def told_apart(total: Selector, bad: Selector) -> tuple[Matcher, ...]:
    """The conditions that `bad` adds to the same series; none where it selects others."""
    if total.metric != bad.metric or not set(total.matchers) <= set(bad.matchers):
        return ()
    return tuple(one for one in bad.matchers if one not in total.matchers)


def _narrowed(selector: Selector, pods: Matcher, context: Context) -> Selector:
    """Pods of the same name in another namespace are not ours."""
    namespace = Matcher("namespace", MatchOp.EQUAL, context.namespace)
    named = any(matcher.label == "namespace" for matcher in selector.matchers)
    more = (pods,) if named or not context.namespace else (namespace, pods)
    return Selector(selector.metric, (*selector.matchers, *more))


def _filled(text: str, context: Context) -> str:
    """The variables are regular expressions, escaped for the inside of a PromQL string."""
    known = {
        "canary_pods": one_of(context.pods.get(Side.CANARY, ())),
        "stable_pods": one_of(context.pods.get(Side.STABLE, ())),
        "namespace": context.namespace,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            raise UsageError(
                f"{{{{ {name} }}}} is unknown in a query; there are: {', '.join(known)}"
            )
        return known[name].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return _VARIABLE.sub(value, text)


def answers_of(
    compiled: Compiled | NoData,
    answers: Mapping[str, MetricAnswer],
    started: Mapping[str, float] | None = None,
) -> RawAnswers | MetricAnswer:
    """The answers to a metric's queries, with what they mean; `started` as in Counters."""

    def answer(query: SeriesQuery | None) -> MetricAnswer | None:
        return None if query is None else answers.get(query.key, UNASKED)

    match compiled:
        case RatioQueries() as ratio:
            return RatioAnswers(
                ratio.total.selector.metric,
                answers.get(ratio.total.key, UNASKED),
                ratio.label,
                ratio.side_of,
                ratio.matchers,
                answer(ratio.bad),
                answer(ratio.good),
                started or {},
                ratio.bad.selector if ratio.bad else None,
                answer(ratio.known),
                ratio.slow,
            )
        case PoolQueries() as pool:
            maximum = pool.maximum
            return PoolAnswers(
                answers.get(pool.in_use.key, UNASKED),
                maximum if isinstance(maximum, float) else answers.get(maximum.key, UNASKED),
                pool.in_use.by,
                pool.label,
                pool.side_of,
                answer(pool.idle),
                answer(pool.waiting),
                answer(pool.timeouts),
                answer(pool.hold),
                pool.hold_unit,
                pool.apart,
            )
        case NoData():
            return compiled
        case _:
            return answers.get(compiled.query.key, UNASKED)
