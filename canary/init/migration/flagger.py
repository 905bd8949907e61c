"""Converts a Canary of Flagger (flagger.app/v1beta1) to a CanaryRelease. Pure.

Sources: Flagger's documentation, "How it works", "Metrics Analysis", "Webhooks" and the Canary
custom resource definition, as of Flagger 1.42.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from canary.init.migration.conversion import (
    Conversion,
    SourceFields,
    build_release,
    dns_label,
)
from canary.kube.objects import Object

_ROUTERS = {
    "istio": "istio",
    "traefik": "traefik",
    "gatewayapi:v1": "gatewayAPI",
    "gatewayapi:v1beta1": "gatewayAPI",
}
"""Flagger's provider and the field of `spec.traffic` that replaces it."""
_PRESETS = {"istio": "istio", "traefik": "traefik", "linkerd": "linkerd"}
"""Flagger's provider and the preset that counts the same requests."""
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_PAGE = "docs/migrate-flagger.md"
_HOOKS = {"pre-rollout": "BeforeTraffic", "rollout": "EachStep", "post-rollout": "AfterPromotion"}


def convert_canary(canary: Object, templates: Sequence[Object]) -> Conversion:
    """Convert one Canary; `templates` are the MetricTemplates that it may reference."""
    metadata = canary["metadata"]
    namespace = metadata.get("namespace")
    fields = SourceFields(canary.get("spec") or {})
    target = fields.open_section("targetRef")
    name = str(target.take_field("name") or metadata["name"])
    kind = target.take_field("kind")
    target.take_field("apiVersion")
    target.note_same("name", "spec.target.name")
    todo = []
    if kind not in {None, "Deployment"}:
        target.note_missing("kind", f"only Deployments are released, found {kind}")
        todo.append(f"spec.target: a {kind} cannot be released; keep Flagger for it")
    service, service_notes = _convert_service(fields.open_section("service"), name)
    provider = str(fields.take_field("provider") or "")
    fields.note_changed("provider", _provider_note(provider))
    analysis = fields.open_section(
        "analysis" if canary.get("spec", {}).get("analysis") else "canaryAnalysis"
    )
    steps = _convert_steps(analysis)
    metrics = _convert_metrics(analysis, provider, name, namespace, templates)
    checks, approve = _convert_checks(analysis)
    if approve and steps:
        steps[-1]["approval"] = True
    _note_rest(fields, analysis)
    spec = {
        "target": {"kind": "Deployment", "name": name},
        "service": {"name": service},
        "traffic": _convert_traffic(provider, service),
        "suspend": True if fields.take_field("suspend") else None,
        "checks": checks,
        "steps": steps,
        "progressDeadline": _format_seconds(fields.take_field("progressDeadlineSeconds")),
        "analysis": {"metrics": metrics},
    }
    notes = [*target.close(), *service_notes, *fields.notes, *analysis.close()]
    notes += [one for one in fields.close() if one not in notes]
    release = build_release(metadata["name"], namespace, spec)
    where = f"{namespace}/" if namespace else ""
    return Conversion(f"Flagger Canary {where}{metadata['name']}", _PAGE, release, notes, todo)


def _convert_service(service: SourceFields, target: str) -> tuple[str, list[Any]]:
    name = str(service.take_field("name") or target)
    service.note_changed(
        "name", "spec.service.name; Flagger generated this Service, canary uses one of yours"
    )
    ours = "the Service and the route are your own manifests now, canary only writes the weights"
    for one in (
        *("port", "targetPort", "portName", "portDiscovery", "appProtocol", "gateways", "hosts"),
        *("gatewayRefs", "match", "rewrite", "headers", "retries", "timeout", "corsPolicy"),
        *("apex", "primary", "canary", "backends", "delegation", "trafficPolicy", "meshName"),
        *("trafficDistribution", "unmanagedMetadata"),
    ):
        service.note_changed(one, ours)
    service.note_missing("mirror", "requests are never mirrored")
    return name, service.close()


def _provider_note(provider: str) -> str:
    if router := _ROUTERS.get(provider):
        return f"spec.traffic.{router}: the route of this name has to exist before you apply"
    return (
        f"{provider or 'none'} has no equal: traffic is shared by the number of pods "
        "(spec.traffic.replicas); name a route of the Gateway API, Istio or Traefik instead"
    )


def _convert_traffic(provider: str, service: str) -> dict[str, Any]:
    match _ROUTERS.get(provider):
        case "istio":
            return {"istio": {"virtualService": service}}
        case "traefik":
            return {"traefik": {"traefikService": service}}
        case "gatewayAPI":
            return {"gatewayAPI": {"kind": "HTTPRoute", "name": service}}
        case _:
            return {"replicas": {}}


def _convert_steps(analysis: SourceFields) -> list[dict[str, Any]]:
    """Return the weights of `stepWeights`, or up to `maxWeight`; each lasts one interval."""
    interval = analysis.take_field("interval") or "1m"
    analysis.note_changed(
        "interval",
        "the duration of each step; metrics are read at every scrape, and a step ends when the "
        "evidence suffices, not before its duration",
    )
    named = analysis.take_field("stepWeights")
    single, most = analysis.take_field("stepWeight"), analysis.take_field("maxWeight")
    analysis.note_same("stepWeights", "the weights of spec.steps")
    analysis.note_same("stepWeight", "the distance of the weights of spec.steps")
    analysis.note_same("maxWeight", "the last weight of spec.steps")
    analysis.note_changed(
        "iterations", "one step of 100: canary has no run of tests at weight 0 except checks"
    )
    analysis.note_missing("mirror", "requests are never mirrored")
    analysis.note_missing("mirrorWeight", "requests are never mirrored")
    if isinstance(named, list):
        weights = [int(one) for one in named]
    elif single:
        top, distance = int(most or 100), int(single)
        weights = [*range(distance, top, distance), top]
    else:
        weights = [100]
    rising = sorted({min(100, one) for one in weights if one > 0})
    return [{"weight": weight, "duration": str(interval)} for weight in rising]


def _convert_metrics(
    analysis: SourceFields,
    provider: str,
    target: str,
    namespace: str | None,
    templates: Sequence[Object],
) -> list[dict[str, Any]]:
    found = analysis.take_field("metrics") or []
    analysis.note_changed(
        "metrics",
        "the canary is compared with stable; a fixed threshold is only an additional limit",
    )
    analysis.note_changed(
        "threshold",
        "no number of failed checks: the release is rolled back when the evidence of a regression "
        "suffices (spec.analysis.falsePositiveRate)",
    )
    preset = _PRESETS.get(provider, "http")
    made = [_convert_metric(one, preset, target, namespace, templates) for one in found]
    kept = [one for one in made if one]
    return kept or [{"name": "errors", "ratio": {"preset": preset}}]


def _convert_metric(
    metric: Mapping[str, Any],
    preset: str,
    target: str,
    namespace: str | None,
    templates: Sequence[Object],
) -> dict[str, Any]:
    name, limits = str(metric.get("name", "metric")), metric.get("thresholdRange") or {}
    least, most = limits.get("min"), limits.get("max", metric.get("threshold"))
    if name == "request-success-rate":
        limit = {} if least is None else {"limit": round(1 - float(least) / 100, 6)}
        return {"name": "errors", "ratio": {"preset": preset}} | limit
    if name == "request-duration":
        above = 500 if most is None else most
        return {"name": "latency", "latency": {"preset": preset, "above": f"{above}ms"}}
    query = metric.get("query") or _template_query(metric.get("templateRef") or {}, templates)
    if not query:
        return {}
    interval = str(metric.get("interval", "1m"))
    values = {
        "target": f"{target}-canary",
        "namespace": namespace or "default",
        "interval": interval,
        "service": target,
        "ingress": target,
        "route": target,
    }
    text = _VARIABLE.sub(lambda found: values.get(found.group(1), found.group(0)), str(query))
    bounds = {"min": least, "max": most}
    return {"name": dns_label(name), "query": text.strip()} | {
        key: value for key, value in bounds.items() if value is not None
    }


def _template_query(reference: Mapping[str, Any], templates: Sequence[Object]) -> str:
    for one in templates:
        if one["metadata"]["name"] == reference.get("name"):
            return str((one.get("spec") or {}).get("query", ""))
    return ""


def _convert_checks(analysis: SourceFields) -> tuple[list[dict[str, Any]], bool]:
    """Convert webhooks to checks, and return whether a person must approve."""
    hooks = analysis.take_field("webhooks") or []
    analysis.note_changed(
        "webhooks",
        "pre-rollout, rollout and post-rollout are spec.checks (2xx passes, 4xx fails); "
        "confirm-rollout and confirm-promotion are an approval of the last step (canary promote); "
        "event is spec.notify; rollback, confirm-traffic-increase and metadata have no equal; a "
        "load test becomes a Job with canary loadtest (docs/loadtest.md)",
    )
    checks = [
        {
            "name": dns_label(str(one.get("name", f"check-{index}"))),
            "when": _HOOKS[str(one.get("type", "rollout"))],
            "webhook": {"url": one.get("url", "")}
            | ({"timeout": one["timeout"]} if one.get("timeout") else {}),
        }
        for index, one in enumerate(hooks)
        if str(one.get("type", "rollout")) in _HOOKS
    ]
    approve = any(str(one.get("type", "")).startswith("confirm-") for one in hooks)
    return checks, approve


def _note_rest(fields: SourceFields, analysis: SourceFields) -> None:
    fields.note_same("progressDeadlineSeconds", "spec.progressDeadline")
    fields.note_same("suspend", "spec.suspend")
    fields.note_missing(
        "autoscalerRef", "not needed: the autoscaler of the Deployment keeps its pods"
    )
    fields.note_missing(
        "ingressRef", "an Ingress cannot be weighted: use a route of the Gateway API"
    )
    fields.note_missing("routeRef", "not needed: canary does not generate the route")
    fields.note_missing("upstreamRef", "Gloo upstreams cannot be weighted")
    fields.note_missing("metricsServer", "the operator has one Prometheus (--prometheus-url)")
    fields.note_changed(
        "skipAnalysis",
        "no field: `canary promote NAME --skip-analysis --reason TEXT` skips it once and records "
        "the reason",
    )
    fields.note_missing(
        "revertOnDeletion", "not needed: the Deployment is yours and stays as it is"
    )
    analysis.note_missing(
        "stepWeightPromotion", "promotion rolls the Deployment by its own strategy"
    )
    for name in ("primaryReadyThreshold", "canaryReadyThreshold"):
        analysis.note_missing(name, "a step passes only with the full number of ready pods")
    analysis.note_changed("alerts", "spec.notify: write the receivers there, with their Secrets")
    analysis.note_missing("sessionAffinity", "write cookies into your route: docs/routers.md")
    analysis.note_missing("match", "A/B tests by header: write the match into your route")


def _format_seconds(seconds: Any) -> str | None:  # noqa: ANN401 - foreign YAML
    return None if seconds is None else f"{int(seconds)}s"
