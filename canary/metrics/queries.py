"""Compiles a metric of a spec to queries, and interprets the answers.

Queries come from presets, from a user's own selectors or from a user's own PromQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from canary.api import Metric, RatioSource
from canary.core.buckets import LE, SlowThreshold
from canary.core.increments import Side, SideOf
from canary.core.sampling import PoolAnswers, RatioAnswers, RawAnswers
from canary.core.series import (
    Matcher,
    MatchOp,
    Member,
    MetricAnswer,
    NoData,
    Selector,
    SeriesQuery,
)
from canary.errors import UsageError
from canary.metrics.presets import (
    AnyPreset,
    Backend,
    LatencyPreset,
    PoolPreset,
    RatioPreset,
    client_errors_preset,
    latency_preset,
    pool_preset,
    ratio_preset,
)
from canary.metrics.promql import escape_regex, one_of, quote_string
from canary.metrics.selectors import parse_selector
from canary.text.regex import full_match

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Context:
    """Data about a release: its namespace, the pods and the backends' names of each version.

    `backends` are the router's names: workload (Istio), deployment (Linkerd), cluster (Envoy),
    `ROUTE/rule/N/backend/M` (Envoy Gateway), Service (Traefik), application_name (PostgreSQL);
    for ingress-nginx the canary's upstream name, and the empty string for stable.
    `maximum` is for pools that do not export it; `extra` is added to every selector.
    """

    namespace: str
    pods: Mapping[Side, tuple[str, ...]] = field(default_factory=dict)
    backends: Mapping[Side, str] = field(default_factory=dict)
    maximum: float | None = None
    extra: tuple[Matcher, ...] = ()


UNASKED = NoData("the metric source gave no answer for this query", partial=True)


@dataclass(frozen=True, slots=True)
class RatioQueries:
    """Queries of a ratio; `label` distinguishes the versions and `side_of` maps its values.

    `matchers` select bad requests among the series of `total` if they are counted there; otherwise
    bad or `good` requests have a counter of their own. With `slow`, `good` are a histogram's
    buckets, and requests slower than one of them are bad.
    """

    total: SeriesQuery
    label: str
    side_of: SideOf
    matchers: tuple[Matcher, ...] = ()
    bad: SeriesQuery | None = None
    good: SeriesQuery | None = None
    known: SeriesQuery | None = None
    """A query for whether any counter of bad requests exists, and for its labels."""
    slow: SlowThreshold | None = None

    def queries(self) -> tuple[SeriesQuery, ...]:
        """Return all queries, for one read."""
        parts = (self.total, self.bad, self.good, self.known)
        return tuple(one for one in parts if one is not None)

    def for_people(self) -> tuple[SeriesQuery, ...]:
        """Return the queries to show; bad requests that share a counter get their own query."""
        if not self.matchers:
            return tuple(one for one in self.queries() if one is not self.known)
        key = self.total.key.removesuffix(".total") + ".bad"
        template = _narrow_selector(self.total.template, self.matchers)
        return self.total, replace(self.total, key=key, template=template)


@dataclass(frozen=True, slots=True)
class PoolQueries:
    """Queries of a pool, one group per pod and pool; None if the exporter has no such series.

    `maximum` is a number when the spec gives it. `hold` counts units of `hold_unit` seconds.
    """

    in_use: SeriesQuery
    idle: SeriesQuery | None
    maximum: SeriesQuery | float
    waiting: SeriesQuery | None
    timeouts: SeriesQuery | None
    hold: SeriesQuery | None
    hold_unit: float
    label: str
    side_of: SideOf
    apart: bool = True
    """Labels by which pools of a pod differ; clients of a server only differ in its own label."""

    def queries(self) -> tuple[SeriesQuery, ...]:
        """Return all existing queries, for one read."""
        parts = (self.in_use, self.idle, self.maximum, self.waiting, self.timeouts, self.hold)
        return tuple(p for p in parts if isinstance(p, SeriesQuery))


def compile_ratio(preset: RatioPreset, context: Context, key: str) -> RatioQueries:
    """Return the query `KEY.total`. Raises UsageError if the versions cannot be distinguished."""
    sides = _select_sides(preset, context)
    total = sides.query(f"{key}.total", preset.total)
    return RatioQueries(total, sides.label, sides.side_of, (preset.bad,))


def compile_latency(
    preset: LatencyPreset, above: float, context: Context, key: str
) -> RatioQueries:
    """Return the queries `KEY.total` and, as `KEY.good`, the buckets near `above` seconds.

    Raises UsageError if the versions cannot be distinguished.
    """
    sides, slow = _select_sides(preset, context), SlowThreshold(above, preset.unit)
    near = Matcher(LE, MatchOp.REGEX, slow.bound_pattern())
    return RatioQueries(
        sides.query(f"{key}.total", preset.part("count")),
        sides.label,
        sides.side_of,
        good=sides.query(f"{key}.good", _narrow_selector(preset.part("bucket"), (near,)), LE),
        slow=slow,
    )


def compile_pool(preset: PoolPreset, context: Context, key: str) -> PoolQueries:
    """Return queries `KEY.in_use`, …. Raises UsageError if versions or maximum are not known."""
    sides = _select_sides(preset, context)

    def query(part: str, selector: Selector | None) -> SeriesQuery | None:
        if selector is None:
            return None
        return sides.query(f"{key}.{part}", selector, *preset.pools)

    return PoolQueries(
        sides.query(f"{key}.in_use", preset.in_use, *preset.pools),
        query("idle", preset.idle),
        _select_maximum(preset, context, query("max", preset.maximum)),
        query("waiting", preset.waiting),
        query("timeouts", preset.timeouts),
        query("hold", preset.hold),
        preset.hold_unit,
        sides.label,
        sides.side_of,
        apart=preset.backend is None,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """How to map series to versions; `extra` is added to every selector."""

    member: Member
    by: tuple[str, ...]
    side_of: SideOf
    asker: str
    extra: tuple[Matcher, ...] = ()

    @property
    def label(self) -> str:
        return self.member.label

    def query(self, key: str, selector: Selector, *by: str) -> SeriesQuery:
        """Return the query for each selected series of both versions."""
        return SeriesQuery(
            key,
            _narrow_selector(selector, self.extra),
            (*self.by, *by),
            raw=True,
            member=self.member,
            asker=self.asker,
        )


def _select_sides(preset: AnyPreset, context: Context) -> _Sides:
    backend = preset.backend
    sides = _by_pod(context) if backend is None else _by_backend(preset, backend, context)
    given = {m.label for m in context.extra}
    if missing := [label for label in preset.required if label not in given]:
        raise UsageError(
            f"the preset {preset.name!r} needs a condition on the label {missing[0]!r}: "
            "without one it would count requests of other services"
        )
    return replace(sides, extra=context.extra)


def _by_pod(context: Context, *, namespaced: bool = True) -> _Sides:
    side = {pod: side for side, pods in context.pods.items() for pod in pods}
    label = "namespace" if namespaced and context.namespace else ""
    member = Member("pod", one_of(tuple(side)), label, context.namespace if label else "")
    return _Sides(member, ("pod",), side.get, context.namespace)


def _by_backend(preset: AnyPreset, backend: Backend, context: Context) -> _Sides:
    """Group by process as well: a proxy that restarts must not reset the sum of the others."""
    patterns = {
        side: backend.pattern.format(
            namespace=escape_regex(context.namespace), name=escape_regex(name)
        )
        for side, name in context.backends.items()
    }
    if not patterns or len(set(patterns.values())) < len(patterns):
        raise UsageError(
            f"the preset {preset.name!r} tells versions apart by the label {backend.label!r}, "
            f"so expected a name for each, found {dict(context.backends)}. {preset.trap or ''}"
        )
    if wrong := [n for n in context.backends.values() if not full_match(backend.names, n)]:
        raise UsageError(
            f"{wrong[0]!r} is not a backend's name for {preset.name!r}. {preset.trap or ''}"
        )

    def side_of(value: str) -> Side | None:
        return next((side for side, one in patterns.items() if full_match(one, value)), None)

    label = backend.namespace or "" if context.namespace else ""
    namespace = context.namespace if label else ""
    member = Member(backend.label, "|".join(patterns.values()), label, namespace)
    return _Sides(member, (backend.label, "instance"), side_of, context.namespace)


def _select_maximum(
    preset: PoolPreset, context: Context, query: SeriesQuery | None
) -> SeriesQuery | float:
    if context.maximum is not None:
        return context.maximum
    if query is None:
        raise UsageError(f"the preset {preset.name!r} needs `max`. {preset.trap or ''}")
    if preset.shared_maximum:
        shared = Selector(query.template.metric, context.extra)
        return replace(query, template=shared, by=("instance",), member=None)
    return query


def _narrow_selector(selector: Selector, matchers: tuple[Matcher, ...]) -> Selector:
    return replace(selector, matchers=(*selector.matchers, *matchers))


@dataclass(frozen=True, slots=True)
class OwnQuery:
    """The query of a user's own expression."""

    query: SeriesQuery

    def queries(self) -> tuple[SeriesQuery, ...]:
        """Return the query, as for the other kinds."""
        return (self.query,)


Compiled = RatioQueries | PoolQueries | OwnQuery


def compile_metric(metric: Metric, context: Context) -> Compiled:
    """Return the queries of a metric for a release.

    Raises:
        UsageError: no such preset, not a selector, or the versions cannot be distinguished.
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
    text = _fill_variables(metric.query or "", context)
    query = SeriesQuery(metric.name, Selector("own"), (), promql=text, asker=context.namespace)
    return OwnQuery(query)


def preset_of(metric: Metric) -> RatioPreset | LatencyPreset | PoolPreset | None:
    """Return the preset of a metric; None if it has none.

    Raises:
        UsageError: no such preset.
    """
    if metric.latency is not None:
        return latency_preset(metric.latency.preset)
    if metric.pool is not None:
        return pool_preset(metric.pool.preset)
    return counting_preset(metric)


def slow_of(metric: Metric) -> SlowThreshold | None:
    """Return when a request is slow; None if the metric is not a latency. Raises UsageError."""
    if metric.latency is None:
        return None
    return SlowThreshold(metric.latency.above, latency_preset(metric.latency.preset).unit)


def counting_preset(metric: Metric) -> RatioPreset | None:
    """Return the preset of `ratio` or `clientErrors`, with `bad` set; None: another source.

    Raises:
        UsageError: no such preset.
    """
    if metric.client_errors is not None:
        return client_errors_preset(metric.client_errors.preset)
    if metric.ratio is not None and metric.ratio.preset is not None:
        return ratio_preset(metric.ratio.preset)
    return None


def _own_ratio(ratio: RatioSource, context: Context, key: str) -> RatioQueries:
    def selector(text: str | None) -> Selector | None:
        return None if text is None else parse_selector(text)

    def query(part: str, one: Selector) -> SeriesQuery:
        """Restrict to the release's namespace, unless the user names one."""
        named = any(matcher.label == "namespace" for matcher in one.matchers)
        return _by_pod(context, namespaced=not named).query(f"{key}.{part}", one)

    total, bad = parse_selector(ratio.total or ""), selector(ratio.bad)
    queries = RatioQueries(query("total", total), "pod", _by_pod(context).side_of)
    if bad is not None and (told := told_apart(total, bad)):
        return replace(queries, matchers=told)
    good, known = selector(ratio.good), known_by(f"{key}.known", ratio.bad)
    return replace(
        queries,
        bad=query("bad", bad) if bad else None,
        good=query("good", good) if good else None,
        known=known and replace(known, asker=context.namespace),
    )


def known_by(key: str, bad: str | None) -> SeriesQuery | None:
    """Return the query for a bad-request counter with any labels, if any. Raises UsageError."""
    if bad is None:
        return None
    selector = parse_selector(bad)
    labels = dict.fromkeys(one.label for one in selector.matchers)
    return SeriesQuery(key, Selector(selector.metric), tuple(labels))


def told_apart(total: Selector, bad: Selector) -> tuple[Matcher, ...]:
    """Return the matchers that `bad` adds to the same series; none if it selects others."""
    if total.metric != bad.metric or not set(total.matchers) <= set(bad.matchers):
        return ()
    return tuple(one for one in bad.matchers if one not in total.matchers)


def _fill_variables(text: str, context: Context) -> str:
    """Fill in the variables: regular expressions, escaped for the inside of a PromQL string."""
    known = {
        "canary_pods": one_of(context.pods.get(Side.CANARY, ())),
        "stable_pods": one_of(context.pods.get(Side.STABLE, ())),
        "namespace": context.namespace,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            raise UsageError(
                f"expected a variable of {', '.join(known)} in the query, found {{{{ {name} }}}}"
            )
        return quote_string(known[name])[1:-1]

    return _VARIABLE.sub(value, text)


def answers_of(
    compiled: Compiled | NoData,
    answers: Mapping[str, MetricAnswer],
    started: Mapping[str, float] | None = None,
) -> RawAnswers | MetricAnswer:
    """Return the answers to a metric's queries, interpreted; `started` as in Counters."""

    def answer(query: SeriesQuery | None) -> MetricAnswer | None:
        return None if query is None else answers.get(query.key, UNASKED)

    match compiled:
        case RatioQueries() as ratio:
            return RatioAnswers(
                ratio.total.template.metric,
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
