"""Renders a CanaryRelease with comments, from what was found around a Deployment. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from canary.api import SpecError, format_duration, load_release
from canary.api.analysis import AnalysisSource
from canary.core.rollout import canary_replicas, pods_for_share
from canary.core.snapshot import Obstacle
from canary.discovery.gather import DraftInput
from canary.discovery.preset_detection import SLOW_THRESHOLD
from canary.discovery.selection import MetricSelection
from canary.discovery.topology import ServiceRoute, Topology
from canary.errors import UsageError
from canary.init.draft_notes import collect_notes
from canary.init.step_planner import DEADLINE, StepPlan, plan_steps
from canary.kube.workloads.isolation import choose_replacements
from canary.metrics.presets import ratio_preset
from canary.text.format import format_percent, format_request_rate, join_names, rough_duration

_WIDTH = 98
_PLAIN = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*")
_RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


@dataclass(frozen=True, slots=True)
class Draft:
    """YAML that validates, and notes for the person who uses it."""

    text: str
    notes: tuple[str, ...]


def render_draft(found: DraftInput) -> Draft:
    """Render the release as YAML.

    Raises:
        UsageError: no valid release can be made for this Deployment.
    """
    judged = found.traffic if found.measured.ratio else None
    plan = plan_steps(judged, routed=bool(found.selection.service_routes))
    lines = [
        *_header_lines(found),
        *_traffic_section(found),
        *_steps_section(found, plan),
        *_analysis_section(found, plan),
        *_notify_section(),
    ]
    text = "\n".join(lines) + "\n"
    try:
        load_release(text, "the draft")
    except SpecError as error:
        first = error.problems[0]
        raise UsageError(
            f"cannot draft a valid CanaryRelease for Deployment {found.topology.name}: "
            f"{first.where}: {first.message}"
        ) from error
    return Draft(text, tuple(collect_notes(found, plan)))


def _comment_lines(text: str, indent: int) -> Iterator[str]:
    """Yield the text as wrapped YAML comment lines."""
    line = ""
    for word in text.split():
        if line and indent + len(line) + len(word) + 3 > _WIDTH:
            yield f"{' ' * indent}# {line}"
            line = word
        else:
            line = f"{line} {word}".strip()
    yield f"{' ' * indent}# {line}"


def quote_scalar(value: str) -> str:
    """Return the text as a YAML scalar, quoted if YAML would read it as another type."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
    return value if plain else json.dumps(value, ensure_ascii=False)


def _header_lines(found: DraftInput) -> Iterator[str]:
    topology, name = found.topology, quote_scalar(found.topology.name)
    yield from _comment_lines(
        f"Protects Deployment {topology.name}: each new version first gets a small share "
        "of the traffic and is rolled back automatically if it is worse.",
        0,
    )
    yield "# Drafted by `canary init`; a comment explains each value. Check changes with:"
    yield "# canary lint FILE. All fields: docs/spec.md."
    yield "apiVersion: canary-controller.dev/v1alpha1"
    yield "kind: CanaryRelease"
    yield "metadata:"
    yield f"  name: {name}"
    if found.named:
        yield f"  namespace: {quote_scalar(topology.namespace)}"
    yield "spec:"
    own = "The existing Deployment is used in place: no pod restarts when this is applied."
    yield from _comment_lines(own + _scaling_note(topology), 2)
    yield f"  target: {{kind: Deployment, name: {name}}}"
    yield from _service_section(found)


def _scaling_note(topology: Topology) -> str:
    """Describe what an autoscaler does while a release runs."""
    if topology.scaled_object:
        return (
            f" ScaledObject {topology.scaled_object} keeps scaling it, also down while a release"
            " runs: set its minReplicaCount to what stable needs during a release."
        )
    if topology.autoscaler:
        return (
            f" HorizontalPodAutoscaler {topology.autoscaler} keeps scaling it, but not below its"
            " size at the start of a release while that runs."
        )
    return ""


def _service_section(found: DraftInput) -> Iterator[str]:
    topology, selection = found.topology, found.selection
    if selection.service is None:
        workers = (
            "No Service selects its pods, so they are treated as workers that fetch their work"
        )
        yield from _comment_lines(f"{workers} themselves.", 2)
        return
    others = [one["metadata"]["name"] for one in topology.services if one is not selection.service]
    which = f"So do {join_names(others)}." if others else "No other Service does."
    yield from _comment_lines(f"Selects the Deployment's pods. {which} canary only reads it.", 2)
    yield f"  service: {{name: {quote_scalar(selection.name)}}}"
    if not selection.service_routes:
        return
    yield from _isolation_section(found)


def _isolation_section(found: DraftInput) -> Iterator[str]:
    """Only a comment: the operator computes the labels at the start of each release."""
    replaced = choose_replacements(found.topology.target, found.topology.neighbors)
    if isinstance(replaced, Obstacle):
        yield from _comment_lines(f"NOT ISOLATED, so no release can start: {replaced.message}", 2)
        return
    values = join_names(f"{key}: {value}" for key, value in replaced.items())
    names = join_names(one["metadata"]["name"] for one in found.topology.services)
    where = "in the namespace" if found.named else "in these files"
    yield from _comment_lines(
        f"Canary pods get {values}: no Service {where} selects them ({names}), and neither does "
        "the Deployment's own selector. Other selectors that use these labels do not match canary "
        "pods (canary lint --cluster finds them).",
        2,
    )
    yield f"  # isolation: {{labels: [{', '.join(quote_scalar(key) for key in replaced)}]}}"


def _traffic_section(found: DraftInput) -> Iterator[str]:
    selection = found.selection
    yield "  traffic:"
    match selection.service_routes:
        case ():
            yield from _no_route(found)
            return
        case (route,):
            yield from _one_route(route, selection.name)
        case routes:
            yield from _comment_lines(
                f"{len(routes)} routes send traffic to Service {selection.name}; each "
                "weight is written to all of them. Traffic of routes that are not "
                "listed here stays with stable.",
                4,
            )
            yield "    routes:"
            yield from (f"    - {_format_route(route)}" for route in routes)
    if not all(_is_gateway(route) for route in selection.service_routes):
        yield "    # The router does not confirm weights: time until the data plane follows one."
        yield "    propagationDelay: 5s"


def _one_route(route: ServiceRoute, service: str) -> Iterator[str]:
    yield from _comment_lines(
        f"Sends traffic to Service {service}{_in_rules(len(route.rules))}.", 4
    )
    names = [name for name in route.rules if name]
    if names:
        yield from _comment_lines(f"To weight one rule only, name it: {join_names(names)}.", 4)
    yield f"    {_format_route(route)}"


def _in_rules(rules: int) -> str:
    return " in one rule" if rules == 1 else f" in {rules} rules; all of them are weighted"


def _is_gateway(route: ServiceRoute) -> bool:
    return route.dialect.kind.group == "gateway.networking.k8s.io"


def _format_route(route: ServiceRoute) -> str:
    kind, name = route.dialect.kind.kind, quote_scalar(route.route["metadata"]["name"])
    if _is_gateway(route):
        return f"gatewayAPI: {{kind: {kind}, name: {name}}}"
    if kind == "VirtualService":
        return f"istio: {{virtualService: {name}}}"
    return f"traefik: {{traefikService: {name}}}"


def _no_route(found: DraftInput) -> Iterator[str]:
    if found.selection.service is None:
        yield from _comment_lines(
            "The work is split by the number of pods: approximately, and a canary pod "
            "takes its share as soon as it runs.",
            4,
        )
        yield "    replicas: {}"
        return
    routes = found.topology.service_routes.get(found.selection.name)
    foreign = found.topology.elsewhere.get(found.selection.name)
    if routes:
        which = f"{join_names(route.name for route in routes)} excluded by --route none"
    elif foreign:
        which = (
            f"{join_names(foreign)} sends traffic to Service {found.selection.name} from another "
            "namespace; only routes in the release's namespace can be weighted"
        )
    else:
        which = f"No route that can be weighted sends traffic to Service {found.selection.name}"
    yield from _comment_lines(
        f"{which}: the traffic is split by the number of pods. That is approximate, and a "
        "canary pod gets its share as soon as it is ready. Better: a route (docs/routers.md), as "
        "gatewayAPI, istio or traefik.",
        4,
    )
    yield "    replicas: {}"


def _steps_section(found: DraftInput, plan: StepPlan) -> Iterator[str]:
    topology = found.topology
    if topology.cron_jobs and found.selection.service_routes:
        yield from _comment_lines(
            "Checks before any traffic, as Jobs from a suspended CronJob. Suspended "
            f"CronJobs: {join_names(topology.cron_jobs)}.",
            2,
        )
        yield "  # checks:"
        yield f"  # - {{name: smoke, jobFrom: {{cronJob: {quote_scalar(topology.cron_jobs[0])}}}}}"
    replicas = int(topology.target["spec"].get("replicas", 1))
    first = plan.steps[0][0]
    size = canary_replicas if found.selection.service_routes else pods_for_share
    pods = size(replicas, first)
    yield from _comment_lines(
        f"Percent of the traffic, and minimum duration. {_rate_note(found, first)}The "
        f"first step runs {pods} canary pod{'' if pods == 1 else 's'} beside "
        f"{replicas}. `approval: true` waits for `canary promote`.",
        2,
    )
    yield "  steps:"
    for weight, length in plan.steps:
        yield f"  - {{weight: {weight}, duration: {format_duration(length)}}}"
    yield "  # Monitoring after promotion; a failure rolls back to the previous version."
    yield "  bake: 30m"
    yield from _comment_lines("A release that takes longer pauses and gives the reason.", 2)
    yield f"  deadline: {format_duration(DEADLINE)}"


def _rate_note(found: DraftInput, first: int) -> str:
    if found.traffic is None or found.traffic.rate <= 0:
        return ""
    share = format_request_rate(found.traffic.rate * first / 100)
    seconds = rough_duration(found.traffic.seconds)
    young = f" (measured over {seconds} only)" if found.traffic.is_young else ""
    rate = f"{format_request_rate(found.traffic.rate)} now{young}"
    return f"The Service gets {rate}, of which {first} % are {share}. "


def _analysis_section(found: DraftInput, plan: StepPlan) -> Iterator[str]:
    yield "  analysis:"
    yield from _source_section(found)
    yield from _comment_lines(
        "Minimum time under traffic before promotion. Choose it longer than the interval of the "
        "rarest fault that matters.",
        4,
    )
    yield "    minDuration: 20m"
    yield from _comment_lines(
        f"Promotion must rule out that {format_percent(plan.regression)} more requests "
        f"fail than now. {_forecast_note(plan)}",
        4,
    )
    yield f"    smallestRegression: {plan.regression:g}"
    yield "    # Probability of rolling back a version as good as the running one."
    yield "    falsePositiveRate: 0.01"
    yield "    metrics:"
    yield from _metrics_section(found)


def _source_section(found: DraftInput) -> Iterator[str]:
    if found.source is AnalysisSource.SCRAPE:
        yield "    # Scrapes the pods' metrics pages. Use `prometheus` if there is one to query."
        yield "    source: scrape"
        yield "    interval: 5s"
        return
    interval = max(10.0, found.scrape or 0.0)
    seen = (
        f"Prometheus scrapes the pods every {rough_duration(found.scrape)}. "
        if found.scrape
        else ""
    )
    yield "    source: prometheus"
    if found.prometheus is not None:
        yield f"    prometheus: {found.prometheus}"
    yield from _comment_lines(
        f"{seen}A shorter interval than that of the scrapes shows nothing new.", 4
    )
    yield f"    interval: {format_duration(float(int(min(interval, 300.0))))}"


def _forecast_note(plan: StepPlan) -> str:
    forecast = plan.forecast
    if forecast is None:
        return "The time this takes depends on the traffic, which is not known here."
    takes = f"That takes {forecast.requests:,.0f} canary requests"
    after = rough_duration(forecast.seconds)
    return f"{takes}: at the current traffic a good release ends after {after}."


def _metrics_section(found: DraftInput) -> Iterator[str]:
    measured = found.measured
    if measured.why:
        yield from _comment_lines(
            f"NO DATA FOUND ({measured.why}): check with canary lint --cluster --prometheus URL.", 4
        )
    if measured.ratio is not None:
        others = f" Also available: {join_names(measured.others)}." if measured.others else ""
        failures = _failure_name(measured.ratio)
        yield from _comment_lines(
            f"Share of {failures}. Fails above 1.25 times stable's share, or above 5 %.{others}", 4
        )
        yield (f"    - {{name: errors, ratio: {{preset: {measured.ratio}}}, tolerance: 1.25, "
               "limit: 0.05}")  # fmt: skip
        yield from _client_errors(measured.ratio)
    if measured.slow is not None:
        yield from _comment_lines(
            f"Requests slower than {measured.slow.bound}, the bucket bound nearest to "
            "`above`. Compared with stable only.",
            4,
        )
        yield (f"    - {{name: slow, latency: {{preset: {measured.slow.preset}, "
               f"above: {format_duration(SLOW_THRESHOLD)}}}}}")  # fmt: skip
    for preset in measured.pools:
        name = "pool" if len(measured.pools) == 1 else f"pool-{preset}"
        yield from _comment_lines(
            "Database connections. Fails above 75 % of the pool, or if 3 connections "
            "are not returned within 10 minutes.",
            4,
        )
        yield (f"    - {{name: {name}, pool: {{preset: {preset}}}, limit: 0.75, "
               "leak: {connections: 3, window: 10m}}")  # fmt: skip
    yield from _unlimited_pools(measured)


def _failure_name(preset: str) -> str:
    """Name what the preset counts as an error."""
    return "5xx responses" if ratio_preset(preset).http_only else "requests that failed"


def _client_errors(preset: str) -> Iterator[str]:
    """Yield a metric of 4xx responses: a version that rejects every request has no 5xx at all."""
    if ratio_preset(preset).client is None:
        return
    yield from _comment_lines(
        "Requests rejected with 4xx, such as 401 or 404. Not errors by themselves; "
        "fails if the canary rejects many more than stable.",
        4,
    )
    yield f"    - {{name: refused, clientErrors: {{preset: {preset}}}, tolerance: 1.5}}"


def _unlimited_pools(measured: MetricSelection) -> Iterator[str]:
    for preset in measured.unlimited_pools:
        yield from _comment_lines(f"Pool without an exported maximum ({preset}): set max.", 4)
        yield f"    # - {{name: pool, pool: {{preset: {preset}, max: POOL_SIZE}}, limit: 0.75}}"


def _notify_section() -> Iterator[str]:
    yield "  # Notifications; the URL is stored in a Secret of this namespace."
    yield "  # notify:"
    yield "  # - {slack: {secretRef: {name: SECRET, key: KEY}}}"
