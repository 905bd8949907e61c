"""Checks with Prometheus whether a release's metrics have data, and enough of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isinf

from canary.api import AnalysisSource, Metric, Path
from canary.core.increments import Grid, Side
from canary.core.pools.samples import UNLIMITED
from canary.core.sampling import RatioAnswers, explain_uncountable
from canary.core.series import (
    FoundSeries,
    Member,
    MetricAnswer,
    NoData,
    Selector,
    SeriesQuery,
    Unavailable,
)
from canary.discovery.evidence_time import TrafficRate, forecast_release, measure_traffic
from canary.discovery.gather import measure_scrape_interval
from canary.discovery.preset_detection import has_label
from canary.discovery.prometheus_queries import Inquiry
from canary.discovery.referenced_objects import ReferencedObjects
from canary.errors import CanaryError, UsageError
from canary.lint.rules import LintFinding, make_finding
from canary.metrics.native import explain_native, native_of
from canary.metrics.pod_names import pods_of
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.promql import conditions_text, format_promql, vector_selector
from canary.metrics.queries import (
    Context,
    OwnQuery,
    PoolQueries,
    RatioQueries,
    answers_of,
    compile_metric,
)
from canary.text.format import format_percent, format_request_rate, join_names, rough_duration

TRAFFIC_WINDOW = 600.0
STEP = 30.0
_SLOW = 1800.0
"""Seconds that a step may wait for evidence without a finding."""
_STATUS = {"http": ("code", "http-status"), "http-status": ("status", "http")}
"""Presets that differ in the label of the status: the label, and the other preset."""


@dataclass(frozen=True, slots=True)
class PrometheusAccess:
    """One Prometheus, with clients for range and for instant queries."""

    source: Prometheus
    inquiry: Inquiry
    now: Callable[[], float]

    @classmethod
    def open(cls, options: PrometheusOptions, now: Callable[[], float]) -> "PrometheusAccess":
        """Connect to this Prometheus; `now` returns seconds since the epoch."""
        return cls(Prometheus(options), Inquiry(options), now)

    def close(self) -> None:
        """Close the connections."""
        self.source.close()
        self.inquiry.close()

    @property
    def grid(self) -> Grid:
        """The last ten minutes."""
        end = self.source.final_until(self.now()) // STEP * STEP
        return Grid(end - TRAFFIC_WINDOW, end, STEP)


class PrometheusOfRelease:
    """The Prometheus of each release; connects to each once."""

    def __init__(
        self, select: Callable[[str | None], PrometheusOptions], now: Callable[[], float]
    ) -> None:
        """`select` returns the source of a name, or the default; raises UsageError."""
        self._select = select
        self._now = now
        self._open: dict[str, PrometheusAccess] = {}

    def connect(self, name: str | None) -> PrometheusAccess:
        """Return the Prometheus of spec.analysis.prometheus. Raises UsageError."""
        options = self._select(name)
        if options.name not in self._open:
            self._open[options.name] = PrometheusAccess.open(options, self._now)
        return self._open[options.name]

    def close(self) -> None:
        """Close the connections."""
        for access in self._open.values():
            access.close()


@dataclass(frozen=True, slots=True)
class RunningTarget:
    """The running pods of a target, and the router's names of both versions."""

    objects: ReferencedObjects
    pods: tuple[str, ...]

    @property
    def context(self) -> Context:
        """The context of the operator's queries; the canary may not exist yet."""
        names, route = self.objects.names, self.objects.route
        sides = {Side.STABLE: names.service, Side.CANARY: names.canary_service}
        if self.objects.dialect is None:
            sides = {}
        elif route is not None:
            sides = dict(self.objects.dialect.backends(route, names))
        elif any(_names_workloads(metric) for metric in self.objects.spec.analysis.metrics):
            sides = {Side.STABLE: names.target, Side.CANARY: names.canary_target}
        return Context(names.namespace, {Side.STABLE: self.pods, Side.CANARY: ()}, sides)


def find_pods_by_series(inquiry: Inquiry, namespace: str, target: str) -> tuple[str, ...]:
    """Return the names of a Deployment's pods from their series, without access to a cluster."""
    member = Member("pod", pods_of(target), "namespace", namespace)
    pods = f"count by (pod) ({{{conditions_text(member.matchers())}}})"
    return tuple(sorted(one.labels["pod"] for one in inquiry.query_vector(pods)))


def check_metrics(running: RunningTarget, monitoring: PrometheusAccess) -> Iterator[LintFinding]:
    """Query every metric. Raises CanaryError if Prometheus does not respond."""
    analysis = running.objects.spec.analysis
    if analysis.source is AnalysisSource.SCRAPE:
        return
    if not running.pods:
        said = f"no pod of {running.objects.names.target} is running, so no query can have data"
        yield make_finding("query-failed", ("spec", "target", "name"), said)
        return
    for index, metric in enumerate(analysis.metrics):
        path: Path = ("spec", "analysis", "metrics", index)
        try:
            compiled = compile_metric(metric, running.context)
        except UsageError as error:
            if not _has_own_rule(running, metric):
                yield make_finding("no-data", path, f"{metric.name}: {error}")
            continue
        match compiled:
            case RatioQueries():
                yield from _check_ratio(_MetricCheck(running, monitoring, metric, path), compiled)
            case PoolQueries():
                yield from _check_data(
                    _MetricCheck(running, monitoring, metric, path), compiled.in_use
                )
                if isinstance(compiled.maximum, SeriesQuery):
                    asking = _MetricCheck(running, monitoring, metric, path)
                    yield from _check_maximum(asking, compiled.maximum)
            case OwnQuery():
                yield from _check_custom_query(_MetricCheck(running, monitoring, metric, path))


@dataclass(frozen=True, slots=True)
class _MetricCheck:
    """One metric under check."""

    running: RunningTarget
    monitoring: PrometheusAccess
    metric: Metric
    path: Path

    def read_answer(self, query: SeriesQuery) -> MetricAnswer:
        grid = self.monitoring.grid
        answers = self.monitoring.source.read([query], grid.start, grid.end, grid.step)
        return answers[query.key]

    def describe_finding(
        self, rule: str, words: str, *at: str, query: str | None = None
    ) -> LintFinding:
        return make_finding(rule, (*self.path, *at), f"{self.metric.name}: {words}", query)


def _check_ratio(asked: _MetricCheck, queries: RatioQueries) -> Iterator[LintFinding]:
    total = asked.read_answer(queries.total)
    silent = list(_check_data(asked, queries.total, total))
    yield from silent
    if silent:
        return
    yield from _check_status_label(asked, queries)
    yield from _check_scrape_interval(asked, queries.total)
    grid = asked.monitoring.grid
    rest = asked.monitoring.source.read(queries.queries()[1:], grid.start, grid.end, grid.step)
    answers = answers_of(queries, {queries.total.key: total, **rest})
    blind = explain_uncountable(answers) if isinstance(answers, RatioAnswers) else None
    if isinstance(blind, NoData) and not list(_check_status_label(asked, queries)):
        yield asked.describe_finding(
            "no-data", blind.why, query=format_promql(queries.bad or queries.total)
        )
        return
    traffic = measure_traffic(answers, grid.start, grid.end)
    if traffic is not None:
        yield from check_traffic(asked.running.objects, asked.metric, traffic, asked.path)


def check_traffic(
    objects: ReferencedObjects, metric: Metric, traffic: TrafficRate, path: Path
) -> Iterator[LintFinding]:
    """Check whether a good release would end before its deadline with this traffic. Pure."""
    if traffic.rate <= 0:
        said = f"{metric.name}: no request in the last {rough_duration(TRAFFIC_WINDOW)}"
        yield make_finding("too-little-traffic", path, said)
        return
    spec = objects.spec
    forecast = forecast_release(spec, metric, traffic)
    smallest = format_percent(spec.analysis.smallest_regression)
    if isinf(forecast.requests):
        said = (
            f"{metric.name}: {format_percent(traffic.bad)} of the requests already fail, so no "
            f"number of requests rules out a regression of {smallest}"
        )
        yield make_finding("too-little-traffic", ("spec", "analysis", "smallestRegression"), said)
        return
    if forecast.seconds > spec.deadline:
        said = (
            f"{metric.name}: at {format_request_rate(traffic.rate)} a regression of "
            f"{smallest} needs {forecast.requests:,.0f} canary requests, which take "
            f"{rough_duration(forecast.requests / traffic.rate)} at 100 % "
            f"and {rough_duration(forecast.seconds)} "
            f"with these steps; the deadline "
            f"is {rough_duration(spec.deadline)}"
        )
        yield make_finding("too-little-traffic", ("spec", "analysis", "smallestRegression"), said)
        return
    for index, wait in enumerate(forecast.waits[:-1]):
        if wait > _SLOW:
            weight = spec.steps[index].weight
            rate = format_request_rate(traffic.rate)
            late = rough_duration(wait)
            said = f"with {weight} % of {rate} the step waits {late} after its duration"
            yield make_finding("step-starves", ("spec", "steps", index, "weight"), said)


def _check_data(
    asked: _MetricCheck, query: SeriesQuery, answer: MetricAnswer | None = None
) -> Iterator[LintFinding]:
    match answer or asked.read_answer(query):
        case NoData(why, partial):
            # A partial answer has series, so a hint at other series would be misleading.
            said = why if partial else _explain_missing_data(asked, query) or why
            yield asked.describe_finding(
                "no-data", f"{query.selector.metric}: {said}", query=format_promql(query)
            )
        case Unavailable(why):
            yield asked.describe_finding("query-failed", why)
        case FoundSeries(_, odd) if odd:
            label = query.by[0] if query.by else "pod"
            whose = join_names(sorted({one.get(label, "") for one in odd}))
            said = f"{query.selector.metric} of {whose} is NaN or infinite"
            yield asked.describe_finding("no-data", said, query=format_promql(query))
        case FoundSeries():
            pass


def _check_maximum(asked: _MetricCheck, query: SeriesQuery) -> Iterator[LintFinding]:
    answer = asked.read_answer(query)
    yield from _check_data(asked, query, answer)
    series = answer.series if isinstance(answer, FoundSeries) else ()
    if any(one.points[-1][1] == 0 for one in series):
        said = f"{query.selector.metric} is {UNLIMITED}"
        yield asked.describe_finding("pool-unlimited", said, query=format_promql(query))


def _explain_missing_data(asked: _MetricCheck, query: SeriesQuery) -> str | None:
    """Return what exists instead: the metric of other pods or backends, or nothing."""
    bare = replace(query, template=Selector(query.template.metric), member=None)
    label = query.by[0] if query.by else "pod"
    native, inquiry = native_of(query.selector), asked.monitoring.inquiry
    try:
        groups = inquiry.labels_of(replace(bare, by=("namespace", label)))
        if native is not None and inquiry.query_vector(f"count({vector_selector(native)})"):
            return explain_native(query.selector, native)
    except CanaryError:
        return None
    name, where = query.selector.metric, asked.running.objects.names
    if not groups:
        return f"Prometheus has no series {name}"
    if not any(group.get(label) for group in groups):
        return f"{name} has no label {label}: add it by relabeling in the scrape configuration"
    if label == "pod" and not any(one.get("namespace") == where.namespace for one in groups):
        return f"{name} exists, but not in namespace {where.namespace}"
    whose = (
        "these pods"
        if label == "pod"
        else f"{where.service} ({label}); perhaps it has had no request yet"
    )
    return f"{name} exists, but not for {whose}"


def _check_status_label(asked: _MetricCheck, queries: RatioQueries) -> Iterator[LintFinding]:
    preset = None if asked.metric.latency else asked.metric.preset
    if preset not in _STATUS:
        return
    label, other = _STATUS[preset]
    ask = asked.monitoring.inquiry.labels_of
    if has_label(ask, queries.total, label):
        return
    fits = has_label(ask, queries.total, _STATUS[other][0])
    hint = (
        f"use preset {other} for label {_STATUS[other][0]}" if fits else f"nor {_STATUS[other][0]}"
    )
    said = f"preset {preset} needs label {label}, which the series do not have; {hint}"
    yield asked.describe_finding("status-label", said, asked.metric.kind, "preset")


def _check_scrape_interval(asked: _MetricCheck, query: SeriesQuery) -> Iterator[LintFinding]:
    try:
        between = measure_scrape_interval(asked.monitoring.inquiry, query)
    except CanaryError as error:
        yield asked.describe_finding("query-failed", str(error))
        return
    interval = asked.running.objects.spec.analysis.interval
    if between is not None and between > interval:
        said = f"scraped every {rough_duration(between)}, analyzed every {rough_duration(interval)}"
        yield asked.describe_finding("scraped-less-often", said)


def _check_custom_query(asked: _MetricCheck) -> Iterator[LintFinding]:
    """Run the query with the running pods in place of canary pods, which do not exist yet."""
    context = asked.running.context
    pods = {Side.STABLE: asked.running.pods, Side.CANARY: asked.running.pods}
    compiled = compile_metric(asked.metric, replace(context, pods=pods))
    if isinstance(compiled, OwnQuery):
        match asked.read_answer(compiled.query):
            case NoData(why):
                yield asked.describe_finding("no-data", why, "query", query=compiled.query.promql)
            case Unavailable(why):
                yield asked.describe_finding("query-failed", why, "query")
            case _:
                pass


def _names_workloads(metric: Metric) -> bool:
    """Return whether the preset identifies versions by Deployment."""
    return metric.preset in {"istio", "istio-grpc", "linkerd"}


def _has_own_rule(running: RunningTarget, metric: Metric) -> bool:
    """Return whether the rule envoy-one-cluster, which needs the route, reports it already."""
    return metric.preset in {"envoy", "envoy-gateway"} and running.objects.route is not None
