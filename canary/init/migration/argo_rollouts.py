"""Converts a Rollout of Argo Rollouts (argoproj.io/v1alpha1) to a CanaryRelease. Pure.

Sources: Argo Rollouts' documentation, "Rollout Specification", "Canary", "BlueGreen" and "Analysis
& Progressive Delivery", as of Argo Rollouts 1.8.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from canary.init.migration.conversion import (
    Conversion,
    Equivalent,
    Note,
    SourceFields,
    build_release,
    dns_label,
)
from canary.kube.objects import Object

_PAGE = "docs/migrate-argo-rollouts.md"
_CONDITION = re.compile(
    r"^\s*(?:result(?:\[0\])?|default\(result\[0\],[^)]*\))\s*(<=|<|>=|>)\s*([-+.\deE]+)\s*$"
)
"""Matches conditions such as `result[0] >= 0.95`, which are a bound of one value."""
_ARGUMENT = re.compile(r"\{\{\s*args\.([\w.-]+)\s*\}\}")
_PLUGIN = "argoproj-labs/gatewayAPI"


def convert_rollout(rollout: Object, templates: Sequence[Object]) -> Conversion:
    """Convert one Rollout; `templates` are the AnalysisTemplates that it may reference."""
    metadata = rollout["metadata"]
    name, namespace = str(metadata["name"]), metadata.get("namespace")
    fields = SourceFields(rollout.get("spec") or {})
    target, todo = _convert_target(fields, name)
    strategy = fields.open_section("strategy")
    canary, blue_green = strategy.open_section("canary"), strategy.open_section("blueGreen")
    service, traffic = _convert_traffic(canary, blue_green, name)
    steps = _convert_steps(canary)
    _note_blue_green(blue_green)
    metrics, metric_notes = _convert_metrics(rollout, templates)
    _note_rest(fields, canary)
    window = fields.open_section("rollbackWindow")
    revisions = window.take_field("revisions")
    window.note_same("revisions", "spec.rollbackWindow.releases")
    spec = {
        "target": {"kind": "Deployment", "name": target},
        "service": {"name": service} if service else None,
        "traffic": traffic,
        "steps": steps,
        "progressDeadline": _format_seconds(fields.take_field("progressDeadlineSeconds")),
        "rollbackWindow": {"releases": min(10, int(revisions))} if revisions else None,
        "analysis": {"metrics": metrics},
    }
    notes = [*canary.close(), *blue_green.close(), *strategy.close(), *window.close()]
    notes = [*fields.close(), *notes, *metric_notes]
    release = build_release(name, namespace, spec)
    where = f"{namespace}/" if namespace else ""
    return Conversion(f"Argo Rollouts Rollout {where}{name}", _PAGE, release, notes, todo)


def _convert_target(fields: SourceFields, name: str) -> tuple[str, list[str]]:
    reference = fields.open_section("workloadRef")
    target = reference.take_field("name")
    fields.note_same("workloadRef", "spec.target: the pods run in the Deployment again")
    fields.note_changed(
        "template", "the template of a Deployment: write one with this template, beside the Rollout"
    )
    fields.note_changed("selector", "the selector of the Deployment")
    fields.note_changed("replicas", "the replicas of the Deployment")
    if target:
        return str(target), []
    return name, [f"write Deployment {name} with the Rollout's template, replicas and selector"]


def _convert_traffic(
    canary: SourceFields, blue_green: SourceFields, name: str
) -> tuple[str | None, dict[str, Any]]:
    """Convert the stable Service and the traffic routing."""
    stable = canary.take_field("stableService") or blue_green.take_field("activeService")
    canary.note_changed(
        "stableService", "spec.service.name: its selector is yours again, never written"
    )
    canary.note_missing("canaryService", "canary makes and removes its own")
    blue_green.note_changed("activeService", "spec.service.name: its selector is yours again")
    routing = canary.take_field("trafficRouting") or {}
    canary.note_changed("trafficRouting", _routing_note(routing))
    service = str(stable) if stable else None
    plugin = (routing.get("plugins") or {}).get(_PLUGIN) or {}
    istio = routing.get("istio") or {}
    if route := plugin.get("httpRoute") or _first_route_name(plugin.get("httpRoutes")):
        return service, {"gatewayAPI": {"kind": "HTTPRoute", "name": route}}
    if grpc := plugin.get("grpcRoute") or _first_route_name(plugin.get("grpcRoutes")):
        return service, {"gatewayAPI": {"kind": "GRPCRoute", "name": grpc}}
    if virtual := istio.get("virtualService") or next(
        iter(istio.get("virtualServices") or ()), None
    ):
        names = virtual.get("routes") or []
        route = {"route": names[0]} if len(names) == 1 else {}
        return service, {"istio": {"virtualService": virtual["name"]} | route}
    if weighted := (routing.get("traefik") or {}).get("weightedTraefikServiceName"):
        return service or name, {"traefik": {"traefikService": weighted}}
    return service, {"replicas": {}}


def _first_route_name(routes: Any) -> str | None:  # noqa: ANN401 - foreign YAML
    return str(routes[0]["name"]) if isinstance(routes, list) and routes else None


def _routing_note(routing: Mapping[str, Any]) -> str:
    if _PLUGIN in (routing.get("plugins") or {}):
        return "spec.traffic.gatewayAPI"
    if "istio" in routing:
        return "spec.traffic.istio; subsets of a DestinationRule are not needed"
    if "traefik" in routing:
        return "spec.traffic.traefik"
    names = ", ".join(routing) or "no router"
    return (
        f"{names} has no equal: traffic is shared by the number of pods (spec.traffic.replicas); "
        "name a route of the Gateway API, Istio or Traefik instead"
    )


def _convert_steps(canary: SourceFields) -> list[dict[str, Any]]:
    """Return one step per weight; pauses after it become its duration or its approval."""
    source = canary.take_field("steps") or []
    canary.note_changed(
        "steps",
        "setWeight and the pauses after it are one step: a pause with a duration is its duration, "
        "one without is its approval (canary promote); setCanaryScale, setHeaderRoute, "
        "setMirrorRoute, experiment and plugin have no equal; analysis runs all the time",
    )
    steps: list[dict[str, Any]] = []
    for one in source:
        if "setWeight" in one and int(one["setWeight"]) > 0:
            steps.append({"weight": int(one["setWeight"]), "duration": "0s"})
        elif "pause" in one and steps:
            duration = (one["pause"] or {}).get("duration")
            if duration is None:
                steps[-1]["approval"] = True
            else:
                steps[-1]["duration"] = _format_pause(duration)
    rising = [
        one
        for index, one in enumerate(steps)
        if all(one["weight"] > before["weight"] for before in steps[:index])
    ]
    return rising or [{"weight": 100, "duration": "2m"}]


def _note_blue_green(blue_green: SourceFields) -> None:
    blue_green.note_changed(
        "autoPromotionEnabled", "one step of 100; with false write approval: true into it"
    )
    blue_green.note_missing("previewService", "canary pods get no traffic before their step")
    for name in ("prePromotionAnalysis", "postPromotionAnalysis"):
        blue_green.note_changed(
            name, "the analysis compares with stable during the step and the bake"
        )
    for name in (
        *("autoPromotionSeconds", "scaleDownDelaySeconds", "scaleDownDelayRevisionLimit"),
        *("previewReplicaCount", "antiAffinity", "previewMetadata", "activeMetadata"),
        *("abortScaleDownDelaySeconds", "maxUnavailable"),
    ):
        blue_green.note_missing(name, "pods are replaced by the Deployment's own strategy")


def _note_rest(fields: SourceFields, canary: SourceFields) -> None:
    fields.note_same("progressDeadlineSeconds", "spec.progressDeadline")
    fields.note_changed(
        "progressDeadlineAbort", "always: pods that never become ready are rolled back"
    )
    for name in ("minReadySeconds", "revisionHistoryLimit"):
        fields.note_changed(name, "a field of the Deployment")
    fields.note_changed(
        "paused", "spec.suspend starts no release; canary pause holds one in flight"
    )
    fields.note_changed("restartAt", "canary restart NAME")
    fields.note_changed("analysis", "spec.analysis")
    for name in ("maxSurge", "maxUnavailable"):
        canary.note_changed(name, "the Deployment's strategy, which promotion uses")
    canary.note_changed("analysis", "spec.analysis: it runs all the time, at every scrape")
    canary.note_missing("dynamicStableScale", "stable keeps its pods until the canary is promoted")
    for name in ("canaryMetadata", "stableMetadata", "antiAffinity", "pingPong"):
        canary.note_missing(name, "pods and Services are not rewritten")
    for name in (
        *("abortScaleDownDelaySeconds", "scaleDownDelaySeconds", "scaleDownDelayRevisionLimit"),
        *("minPodsPerReplicaSet", "replicaProgressThreshold"),
    ):
        canary.note_missing(name, "a rollback drains requests and removes the canary's pods")


def _convert_metrics(
    rollout: Object, templates: Sequence[Object]
) -> tuple[list[dict[str, Any]], list[Note]]:
    """Convert the Prometheus metrics of the referenced AnalysisTemplates, and note all others.

    Without any metric, the canary's failed requests are compared with stable's.
    """
    spec = rollout.get("spec") or {}
    values, wanted = dict(_find_arguments(spec)), set(_find_template_names(spec))
    metrics: list[dict[str, Any]] = []
    notes: list[Note] = []
    for template in templates:
        if template["metadata"]["name"] in wanted:
            path = f"AnalysisTemplate {template['metadata']['name']}"
            for metric in (template.get("spec") or {}).get("metrics") or []:
                made, note = _convert_metric(metric, values, path)
                metrics += [made] if made else []
                notes.append(note)
    missing = wanted - {str(one["metadata"]["name"]) for one in templates}
    notes += [
        Note(f"AnalysisTemplate {one}", Equivalent.NONE, "not found: add its file to --from")
        for one in sorted(missing)
    ]
    return metrics or [{"name": "errors", "ratio": {"preset": "http"}}], notes


def _convert_metric(
    metric: Mapping[str, Any], values: Mapping[str, str], path: str
) -> tuple[dict[str, Any] | None, Note]:
    name = str(metric.get("name", "metric"))
    path = f"{path}, metric {name}"
    provider = metric.get("provider") or {}
    query = (provider.get("prometheus") or {}).get("query")
    if not query:
        kinds = ", ".join(provider) or "none"
        text = f"provider {kinds} has no equal; a job or web becomes a check (spec.checks)"
        return None, Note(path, Equivalent.NONE, text)
    bounds = _read_bounds(metric)
    if bounds is None:
        text = "its conditions are not a single bound of one value: set min or max yourself"
        return None, Note(path, Equivalent.NONE, text)
    text = _ARGUMENT.sub(lambda found: values.get(found.group(1), found.group(0)), str(query))
    made = {"name": dns_label(name), "query": text.strip()} | bounds
    words = (
        "query with min and max; interval, count, failureLimit and consecutiveErrorLimit have no "
        "equal: it is read at every scrape, and fails when it is out of bounds for `for` (1m)"
    )
    if "{{" in text:
        words += "; it still has arguments in braces that have to be written out"
    return made, Note(path, Equivalent.CHANGED, words)


def _read_bounds(metric: Mapping[str, Any]) -> dict[str, float] | None:
    """Return min and max of one value; None if the conditions are anything else."""
    success, failure = metric.get("successCondition"), metric.get("failureCondition")
    if not (success or failure):
        return None
    bounds: dict[str, float] = {}
    for condition, passes in ((success, True), (failure, False)):
        if condition:
            found = _CONDITION.match(str(condition))
            if found is None:
                return None
            below = found.group(1).startswith("<")
            bounds["max" if below is passes else "min"] = float(found.group(2))
    return bounds


def _find_arguments(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the arguments that have a value, from every place where the Rollout sets them."""
    for analysis in _find_analyses(spec):
        for one in analysis.get("args") or []:
            if "value" in one:
                yield str(one["name"]), str(one["value"])


def _find_template_names(spec: Mapping[str, Any]) -> Iterator[str]:
    for analysis in _find_analyses(spec):
        for one in analysis.get("templates") or []:
            yield str(one.get("templateName", ""))


def _find_analyses(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    strategy = spec.get("strategy") or {}
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    steps = [one.get("analysis") for one in canary.get("steps") or []]
    named = [blue_green.get(f"{when}PromotionAnalysis") for when in ("pre", "post")]
    yield from (one for one in (canary.get("analysis"), *steps, *named) if one)


def _format_pause(duration: object) -> str:
    """Return a duration such as `10m` unchanged; a number is seconds."""
    text = str(duration)
    return f"{text}s" if text.isdigit() else text


def _format_seconds(found: object) -> str | None:
    return None if found is None else f"{found}s"
