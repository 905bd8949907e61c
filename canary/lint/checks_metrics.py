"""What Prometheus says of a release's metrics: is there data, is it fresh, is it enough."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isinf

from canary.api import Metric, Path, Source
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
from canary.discovery.evidence_time import Traffic, course_of, traffic_of
from canary.discovery.gather import scrape_interval
from canary.discovery.preset_detection import label_is_there
from canary.discovery.prometheus_queries import Inquiry
from canary.discovery.referenced_objects import Scenery
from canary.errors import CanaryError, UsageError
from canary.lint.rules import Finding, finding
from canary.metrics.native import native_of, refusal
from canary.metrics.pod_names import pods_of
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.promql import conditions_text, promql, vector_selector
from canary.metrics.queries import (
    Context,
    OwnQuery,
    PoolQueries,
    RatioQueries,
    answers_of,
    compile_metric,
)
from canary.text.format import listed, percent, request_rate, roughly

LATELY = 600.0
STEP = 30.0
_SLOW = 1800.0
"""Seconds that a step may wait for evidence without a word about it."""
_STATUS = {"http": ("code", "http-status"), "http-status": ("status", "http")}
"""Presets that differ in the label of the status: which label, and the other one."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """One Prometheus, in the two ways in which it is asked."""

    source: Prometheus
    inquiry: Inquiry
    now: Callable[[], float]

    @classmethod
    def of(cls, options: PrometheusOptions, now: Callable[[], float]) -> "Monitoring":
        """Asks that one; `now` gives seconds since the epoch."""
        return cls(Prometheus(options), Inquiry(options), now)

    def close(self) -> None:
        """Lets its connections go."""
        self.source.close()
        self.inquiry.close()

    @property
    def grid(self) -> Grid:
        """The last ten minutes."""
        end = self.source.settled(self.now()) // STEP * STEP
        return Grid(end - LATELY, end, STEP)


@dataclass(frozen=True, slots=True)
class Running:
    """Which pods run now, and what the router calls the sides."""

    scene: Scenery
    pods: tuple[str, ...]

    @property
    def context(self) -> Context:
        """What the operator would ask with; a canary may not be there yet."""
        names, route = self.scene.names, self.scene.route
        sides = {Side.STABLE: names.service, Side.CANARY: names.canary_service}
        if self.scene.dialect is None:
            sides = {}
        elif route is not None:
            sides = dict(self.scene.dialect.backends(route, names))
        elif any(_workloads(metric) for metric in self.scene.spec.analysis.metrics):
            sides = {Side.STABLE: names.target, Side.CANARY: names.canary_target}
        return Context(names.namespace, {Side.STABLE: self.pods, Side.CANARY: ()}, sides)


def pods_in(inquiry: Inquiry, namespace: str, target: str) -> tuple[str, ...]:
    """Names of a Deployment's pods by their series, where no cluster is asked."""
    member = Member("pod", pods_of(target), "namespace", namespace)
    pods = f"count by (pod) ({{{conditions_text(member.matchers())}}})"
    return tuple(sorted(one.labels["pod"] for one in inquiry.vector(pods)))


def risks_in_metrics(running: Running, monitoring: Monitoring) -> Iterator[Finding]:
    """Asks for every metric of a release. Raises CanaryError when Prometheus does not answer."""
    analysis = running.scene.spec.analysis
    if analysis.source is Source.SCRAPE:
        return
    if not running.pods:
        said = f"no pod of {running.scene.names.target} runs, so no query can have data"
        yield finding("not-answered", ("spec", "target", "name"), said)
        return
    for index, metric in enumerate(analysis.metrics):
        path: Path = ("spec", "analysis", "metrics", index)
        try:
            compiled = compile_metric(metric, running.context)
        except UsageError as error:
            if not _said_already(running, metric):
                yield finding("no-data", path, f"{metric.name}: {error}")
            continue
        match compiled:
            case RatioQueries():
                yield from _ratio(_Asked(running, monitoring, metric, path), compiled)
            case PoolQueries():
                yield from _silent(_Asked(running, monitoring, metric, path), compiled.in_use)
                if isinstance(compiled.maximum, SeriesQuery):
                    asking = _Asked(running, monitoring, metric, path)
                    yield from _maximum(asking, compiled.maximum)
            case OwnQuery():
                yield from _own(_Asked(running, monitoring, metric, path))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One metric that is asked about."""

    running: Running
    monitoring: Monitoring
    metric: Metric
    path: Path

    def answer(self, query: SeriesQuery) -> MetricAnswer:
        grid = self.monitoring.grid
        answers = self.monitoring.source.read([query], grid.start, grid.end, grid.step)
        return answers[query.key]

    def finds(self, rule: str, words: str, *at: str, query: str | None = None) -> Finding:
        return finding(rule, (*self.path, *at), f"{self.metric.name}: {words}", query)


def _ratio(asked: _Asked, queries: RatioQueries) -> Iterator[Finding]:
    total = asked.answer(queries.total)
    silent = list(_silent(asked, queries.total, total))
    yield from silent
    if silent:
        return
    yield from _status_label(asked, queries)
    yield from _scrapes(asked, queries.total)
    grid = asked.monitoring.grid
    rest = asked.monitoring.source.read(queries.queries()[1:], grid.start, grid.end, grid.step)
    answers = answers_of(queries, {queries.total.key: total, **rest})
    blind = explain_uncountable(answers) if isinstance(answers, RatioAnswers) else None
    if isinstance(blind, NoData) and not list(_status_label(asked, queries)):
        yield asked.finds("no-data", blind.why, query=promql(queries.bad or queries.total))
        return
    traffic = traffic_of(answers, grid.start, grid.end)
    if traffic is not None:
        yield from enough(asked.running.scene, asked.metric, traffic, asked.path)


def enough(scene: Scenery, metric: Metric, traffic: Traffic, path: Path) -> Iterator[Finding]:
    """Whether a good release would end before its deadline under this traffic. Pure."""
    if traffic.rate <= 0:
        said = f"{metric.name}: not one request in the last {roughly(LATELY)}"
        yield finding("too-little-traffic", path, said)
        return
    spec = scene.spec
    course = course_of(spec, metric, traffic)
    smallest = percent(spec.analysis.smallest_regression)
    if isinf(course.requests):
        said = (
            f"{metric.name}: {percent(traffic.bad)} of the requests are bad already, and beside "
            f"that no number of requests rules out a regression of {smallest}"
        )
        yield finding("too-little-traffic", ("spec", "analysis", "smallestRegression"), said)
        return
    if course.seconds > spec.deadline:
        said = (
            f"{metric.name}: at {request_rate(traffic.rate)} a regression of "
            f"{smallest} needs {course.requests:,.0f} canary "
            f"requests, {roughly(course.requests / traffic.rate)} at 100 % and "
            f"{roughly(course.seconds)} with these steps; the deadline is {roughly(spec.deadline)}"
        )
        yield finding("too-little-traffic", ("spec", "analysis", "smallestRegression"), said)
        return
    for index, wait in enumerate(course.waits[:-1]):
        if wait > _SLOW:
            weight = spec.steps[index].weight
            rate = request_rate(traffic.rate)
            said = f"{weight} % of {rate} wait {roughly(wait)} after the step's duration"
            yield finding("step-starves", ("spec", "steps", index, "weight"), said)


def _silent(
    asked: _Asked, query: SeriesQuery, answer: MetricAnswer | None = None
) -> Iterator[Finding]:
    match answer or asked.answer(query):
        case NoData(why, partial):
            # Partial: series are there, so what else might be there instead is no answer.
            said = why if partial else _hint(asked, query) or why
            yield asked.finds("no-data", f"{query.selector.metric}: {said}", query=promql(query))
        case Unavailable(why):
            yield asked.finds("not-answered", why)
        case FoundSeries(_, odd) if odd:
            label = query.by[0] if query.by else "pod"
            whose = listed(sorted({one.get(label, "") for one in odd}))
            said = f"{query.selector.metric} of {whose} is NaN or infinite"
            yield asked.finds("no-data", said, query=promql(query))
        case FoundSeries():
            pass


def _maximum(asked: _Asked, query: SeriesQuery) -> Iterator[Finding]:
    answer = asked.answer(query)
    yield from _silent(asked, query, answer)
    series = answer.series if isinstance(answer, FoundSeries) else ()
    if any(one.points[-1][1] == 0 for one in series):
        said = f"{query.selector.metric} is {UNLIMITED}"
        yield asked.finds("pool-unlimited", said, query=promql(query))


def _hint(asked: _Asked, query: SeriesQuery) -> str | None:
    """What is there instead: the metric of other pods or backends, or nothing at all."""
    bare = replace(query, template=Selector(query.template.metric), member=None)
    label = query.by[0] if query.by else "pod"
    native, inquiry = native_of(query.selector), asked.monitoring.inquiry
    try:
        groups = inquiry.labels_of(replace(bare, by=("namespace", label)))
        if native is not None and inquiry.vector(f"count({vector_selector(native)})"):
            return refusal(query.selector, native)
    except CanaryError:
        return None
    name, where = query.selector.metric, asked.running.scene.names
    if not groups:
        return f"Prometheus has no series {name} at all"
    if not any(group.get(label) for group in groups):
        return f"{name} has no label {label}: add it by relabelling when scraping"
    if label == "pod" and not any(one.get("namespace") == where.namespace for one in groups):
        return f"{name} is there, but not in namespace {where.namespace}"
    whose = (
        "these pods"
        if label == "pod"
        else f"{where.service} ({label}); perhaps no request came yet"
    )
    return f"{name} is there, but not for {whose}"


def _status_label(asked: _Asked, queries: RatioQueries) -> Iterator[Finding]:
    preset = None if asked.metric.latency else asked.metric.preset
    if preset not in _STATUS:
        return
    label, other = _STATUS[preset]
    ask = asked.monitoring.inquiry.labels_of
    if label_is_there(ask, queries.total, label):
        return
    fits = label_is_there(ask, queries.total, _STATUS[other][0])
    hint = f"they have {_STATUS[other][0]}: take preset {other}" if fits else "nor the other one"
    said = f"preset {preset} looks for the label {label}, which the series do not have; {hint}"
    yield asked.finds("status-label", said, asked.metric.kind, "preset")


def _scrapes(asked: _Asked, query: SeriesQuery) -> Iterator[Finding]:
    try:
        between = scrape_interval(asked.monitoring.inquiry, query)
    except CanaryError as error:
        yield asked.finds("not-answered", str(error))
        return
    interval = asked.running.scene.spec.analysis.interval
    if between is not None and between > interval:
        said = f"scraped every {roughly(between)}, looked at every {roughly(interval)}"
        yield asked.finds("scraped-less-often", said)


def _own(asked: _Asked) -> Iterator[Finding]:
    """Asked with the running pods in the canary's place: it is not there yet."""
    context = asked.running.context
    pods = {Side.STABLE: asked.running.pods, Side.CANARY: asked.running.pods}
    compiled = compile_metric(asked.metric, replace(context, pods=pods))
    if isinstance(compiled, OwnQuery):
        match asked.answer(compiled.query):
            case NoData(why):
                yield asked.finds("no-data", why, "query", query=compiled.query.promql)
            case Unavailable(why):
                yield asked.finds("not-answered", why, "query")
            case _:
                pass


def _workloads(metric: Metric) -> bool:
    """Its preset calls the sides by Deployment."""
    return metric.preset in {"istio", "istio-grpc", "linkerd"}


def _said_already(running: Running, metric: Metric) -> bool:
    """Envoy Gateway's one cluster has a rule of its own, which needs the route."""
    return metric.preset in {"envoy", "envoy-gateway"} and running.scene.route is not None
