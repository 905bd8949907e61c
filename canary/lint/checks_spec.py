"""Checks that need only the spec. Pure."""

from collections.abc import Callable, Iterator, Sequence

from canary.api import (
    AnalysisSource,
    CheckMoment,
    Metric,
    OnInconclusive,
    Path,
    Spec,
    format_duration,
)
from canary.core.increments import Side
from canary.errors import UsageError
from canary.lint.rules import LintFinding, make_finding
from canary.metrics.presets import RATIOS, Per
from canary.metrics.queries import Context, compile_metric, counting_preset, preset_of
from canary.routers.gateway_api import GRPC_ROUTE
from canary.text.format import format_percent

SpecCheck = Callable[[Spec], Iterator[LintFinding]]

_FIRST, _LAST, _STEEP, _HIGH = 10, 20, 10, 25
_MINIMUM, _INTERVAL, _PROPAGATION_DELAY = 300.0, 5.0, 2.0
_TIGHT = 2 / 3
_TOLERANCE, _LIMIT, _FALSE_POSITIVE_RATE = 3.0, 0.2, 0.05
_ANALYSIS = ("spec", "analysis")


def check_spec(spec: Spec) -> list[LintFinding]:
    """Run all checks of the spec."""
    return [found for check in CHECKS for found in check(spec)]


def _check_steps(spec: Spec) -> Iterator[LintFinding]:
    weights = [step.weight for step in spec.steps]
    if weights[0] > _FIRST:
        path = ("spec", "steps", 0, "weight")
        said = f"the first step sends {weights[0]} % of the traffic to the new version"
        yield make_finding("first-step-large", path, said)
    for index in range(1, len(weights)):
        before, after = weights[index - 1], weights[index]
        if after > _STEEP * before and after > _HIGH:
            path = ("spec", "steps", index, "weight")
            yield make_finding("steep-step", path, f"the weight goes from {before} to {after} %")
    if weights[-1] < _LAST:
        path = ("spec", "steps", len(weights) - 1, "weight")
        said = f"the last step is {weights[-1]} %"
        yield make_finding("last-step-small", path, said)


def _check_times(spec: Spec) -> Iterator[LintFinding]:
    analysis, deadline = spec.analysis, spec.deadline
    if spec.bake == 0:
        yield make_finding("no-bake", ("spec", "bake"), "bake is 0s")
    if analysis.min_duration < _MINIMUM:
        said = f"minDuration is {format_duration(analysis.min_duration)}"
        yield make_finding("min-duration-short", (*_ANALYSIS, "minDuration"), said)
    needed = max(sum(step.duration for step in spec.steps), analysis.min_duration)
    if needed > _TIGHT * deadline:
        said = f"steps or minDuration take {format_duration(needed)} of {format_duration(deadline)}"
        yield make_finding("deadline-tight", ("spec", "deadline"), said)
    if analysis.no_data_timeout >= deadline:
        said = f"noDataTimeout is {format_duration(analysis.no_data_timeout)}, the deadline "
        said += format_duration(deadline)
        yield make_finding("no-data-timeout-beyond-deadline", (*_ANALYSIS, "noDataTimeout"), said)
    if spec.progress_deadline >= deadline:
        said = f"progressDeadline is {format_duration(spec.progress_deadline)}, the deadline "
        said += format_duration(deadline)
        yield make_finding("progress-beyond-deadline", ("spec", "progressDeadline"), said)


def _check_client_errors(spec: Spec) -> Iterator[LintFinding]:
    """Check that 4xx are counted: a service that rejects every request has no errors."""
    metrics = spec.analysis.metrics
    counted = [name for one in metrics if one.ratio and (name := one.ratio.preset)]
    blind = [one.name for one in RATIOS if one.name in counted and one.client is not None]
    if blind and not any(one.client_errors for one in metrics):
        said = f"preset {blind[0]} does not count 401, 403, 404 and other 4xx as errors"
        yield make_finding("client-errors-unseen", (*_ANALYSIS, "metrics"), said)


def _check_analysis(spec: Spec) -> Iterator[LintFinding]:
    analysis = spec.analysis
    if spec.on_inconclusive is OnInconclusive.PROMOTE:
        said = "onInconclusive is Promote"
        yield make_finding("promote-without-evidence", ("spec", "onInconclusive"), said)
    if not any(metric.ratio for metric in analysis.metrics):
        said = "no metric is a ratio of failed requests"
        yield make_finding("no-requests-judged", (*_ANALYSIS, "metrics"), said)
    yield from _check_client_errors(spec)
    if analysis.false_positive_rate > _FALSE_POSITIVE_RATE:
        said = f"falsePositiveRate is {format_percent(analysis.false_positive_rate)}"
        yield make_finding("lax-threshold", (*_ANALYSIS, "falsePositiveRate"), said)
    if analysis.source is AnalysisSource.PROMETHEUS and analysis.interval < _INTERVAL:
        said = f"interval is {format_duration(analysis.interval)}"
        yield make_finding("interval-short", (*_ANALYSIS, "interval"), said)


def _check_traffic(spec: Spec) -> Iterator[LintFinding]:
    traffic = spec.traffic
    if traffic.replicas is not None and spec.checks_at(CheckMoment.BEFORE_TRAFFIC):
        said = "traffic is split by number of pods, and there are checks before traffic"
        yield make_finding("checks-after-traffic", ("spec", "checks"), said)
    if traffic.replicas is not None and spec.steps[0].weight < _FIRST:
        said = f"traffic is split by number of pods, and a step is {spec.steps[0].weight} %"
        yield make_finding("weights-by-pods", ("spec", "steps", 0, "weight"), said)
    if (traffic.istio or traffic.traefik) and traffic.propagation_delay < _PROPAGATION_DELAY:
        said = f"propagationDelay is {format_duration(traffic.propagation_delay)}"
        yield make_finding("propagation-delay-none", ("spec", "traffic", "propagationDelay"), said)


def _check_metrics(spec: Spec) -> Iterator[LintFinding]:
    watched = max(sum(step.duration for step in spec.steps), spec.analysis.min_duration) + spec.bake
    for index, metric in enumerate(spec.analysis.metrics):
        path: Path = (*_ANALYSIS, "metrics", index)
        if metric.tolerance is not None and metric.tolerance > _TOLERANCE:
            said = (
                f"{metric.name}: the canary may fail {metric.tolerance:g} times as often as stable"
            )
            yield make_finding("lax-threshold", (*path, "tolerance"), said)
        if metric.is_request_share and metric.limit is not None and metric.limit > _LIMIT:
            said = f"{metric.name}: {format_percent(metric.limit)} of the requests may fail"
            yield make_finding("lax-threshold", (*path, "limit"), said)
        if metric.leak is not None and metric.leak.window > watched:
            said = f"{metric.name}: leak.window is {format_duration(metric.leak.window)}, and "
            said += f"the release is monitored for {format_duration(watched)}"
            yield make_finding("leak-window-long", (*path, "leak", "window"), said)
        if metric.query is not None and "canary_pods" not in metric.query:
            said = f"{metric.name}: the query does not select canary pods"
            yield make_finding("query-without-canary-pods", (*path, "query"), said)
        if _misses_grpc_errors(spec, metric):
            said = f"{metric.name}: preset {metric.preset} does not see gRPC errors"
            yield make_finding("grpc-errors-unseen", (*path, metric.kind, "preset"), said)
        if (trouble := _explain_impossible(spec, metric)) is not None:
            yield make_finding(
                "metric-impossible", (*path, metric.kind), f"{metric.name}: {trouble}"
            )


def _misses_grpc_errors(spec: Spec, metric: Metric) -> bool:
    gateway = spec.traffic.gateway_api
    if gateway is None or gateway.kind != GRPC_ROUTE.kind.kind:
        return False
    try:
        preset = counting_preset(metric)
    except UsageError:
        return False
    return preset is not None and preset.http_only


def _explain_impossible(spec: Spec, metric: Metric) -> str | None:
    """Return why the operator could never query this metric; tries it with placeholder names."""
    if metric.query is not None and spec.analysis.source is AnalysisSource.SCRAPE:
        return "a query needs source: prometheus, and source is scrape"
    one_cluster = metric.preset == "envoy-gateway"
    name = "any/rule/0/backend/0" if one_cluster else "any"
    other = "any/rule/0/backend/1" if one_cluster else "any-canary"
    pods = {Side.STABLE: ("any-1",), Side.CANARY: ("any-2",)}
    context = Context("any", pods, {Side.STABLE: name, Side.CANARY: other})
    try:
        preset = preset_of(metric)
        if spec.traffic.replicas is not None and preset and preset.per is Per.BACKEND:
            return "this preset compares a router's backends, and the release has no router"
        compile_metric(metric, context)
    except UsageError as error:
        return str(error)
    return None


CHECKS: Sequence[SpecCheck] = (
    _check_steps,
    _check_times,
    _check_analysis,
    _check_traffic,
    _check_metrics,
)
