"""HTTPRoute and GRPCRoute of the Gateway API: the user's own route, weighted in place."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.core.increments import Side
from canary.kube.objects import GRPC_ROUTES, HTTP_ROUTES, Kind, Object
from canary.routers.dialect import Dialect, Ref, Rule
from canary.routers.names import Names
from canary.routers.split import weighted_rules

ENVOY_GATEWAY = "gateway.envoyproxy.io/gatewayclass-controller"
"""Its metrics name clusters; one for all backends of a rule, unless a backend has a filter."""
MESH_CONTROLLERS = {
    "istio.io/gateway-controller",
    "istio.io/mesh-controller",
    "linkerd.io/policy-controller",
}
"""Controllers whose metrics name workloads, not Services."""


_REQUIRED_CONDITIONS = ("Accepted", "ResolvedRefs")
"""Conditions of each parent without which a route, or a backend of it, gets no traffic."""
_MAX_QUOTE = 200
"""Characters of a router's message that are passed on."""


def _sends_to(ref: Ref, service: str, namespace: str) -> bool:
    return (
        ref.get("name") == service
        and ref.get("kind", "Service") == "Service"
        and not ref.get("group")
        and ref.get("namespace", namespace) == namespace
    )


def _canary_backend(ref: Ref, names: Names) -> Ref:
    return {**ref, "name": names.canary_service}


def is_confirmed(route: Object) -> bool:
    """Every parent of the route has accepted it, with all backends resolved, as it is now.

    Parents that left the spec keep their entry in the status for a while; they do not count.
    """
    now, generation = _current_parents(route), route["metadata"]["generation"]
    return bool(now) and all(
        _has_condition(parent, kind, generation) for parent in now for kind in _REQUIRED_CONDITIONS
    )


def is_observed(route: Object) -> bool:
    """Every parent of the route has an opinion of it as it is now."""
    generation = route["metadata"]["generation"]
    opinions = (parent.get("conditions") or [] for parent in _current_parents(route))
    return all(any(one.get("observedGeneration") == generation for one in of) for of in opinions)


def explain_refusal(route: Object) -> str | None:
    """What a parent says against the route as it is now, in a sentence; None: nothing."""
    generation = route["metadata"]["generation"]
    for parent in _current_parents(route):
        for one in parent.get("conditions") or []:
            judged = (
                one.get("type") in _REQUIRED_CONDITIONS
                and one.get("observedGeneration") == generation
            )
            if judged and one.get("status") == "False":
                gateway = parent["parentRef"]["name"]
                said = " ".join(str(one.get("message", "")).split())[:_MAX_QUOTE]
                what = f"{route['kind']} {route['metadata']['name']}"
                return f"Gateway {gateway} does not serve {what}: {one.get('reason')}: {said}"
    return None


def _current_parents(route: Object) -> list[Mapping[str, Any]]:
    parents = route.get("status", {}).get("parents") or []
    return [parent for parent in parents if _is_parent(route, parent["parentRef"])]


def _is_parent(route: Object, reported: Mapping[str, Any]) -> bool:
    return any(
        _parent_identity(route, ref) == _parent_identity(route, reported)
        for ref in route["spec"].get("parentRefs") or []
    )


def _parent_identity(route: Object, ref: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        ref.get("group", "gateway.networking.k8s.io"),
        ref.get("kind", "Gateway"),
        ref.get("namespace", route["metadata"].get("namespace")),
        ref["name"],
        ref.get("sectionName"),
        ref.get("port"),
    )


def _has_condition(parent: Mapping[str, Any], kind: str, generation: int) -> bool:
    return any(
        condition["type"] == kind
        and condition["status"] == "True"
        and condition.get("observedGeneration") == generation
        for condition in parent.get("conditions") or []
    )


def _controller_names(route: Object) -> Iterator[str]:
    for parent in route.get("status", {}).get("parents") or []:
        yield parent.get("controllerName", "")


def _metric_names(route: Object, names: Names) -> Mapping[Side, str]:
    controllers = set(_controller_names(route))
    if ENVOY_GATEWAY in controllers:
        return _envoy_clusters(route, names)
    if controllers & MESH_CONTROLLERS:
        return {Side.STABLE: names.target, Side.CANARY: names.canary_target}
    return {Side.STABLE: names.service, Side.CANARY: names.canary_service}


def _envoy_clusters(route: Object, names: Names) -> Mapping[Side, str]:
    """Envoy Gateway's, `ROUTE/rule/N/backend/M`, where a filter of the user's sets them apart.

    Empty where all backends share a cluster, and where a side has more than one. We add no filter
    to set them apart: clusters that change their names under traffic fail requests in between.
    """
    rules = weighted_rules(_dialect_of(route), route, names)
    if len(rules) != 1:
        return {}
    refs = route["spec"]["rules"][rules[0]]["backendRefs"]
    stable = [i for i, ref in enumerate(refs) if _is_backend(ref, names.service, route)]
    canary = [i for i, ref in enumerate(refs) if _is_backend(ref, names.canary_service, route)]
    apart = any(ref.get("filters") for ref in refs if ref.get("weight", 1) > 0)
    if not apart or len(stable) != 1 or len(canary) > 1:
        return {}
    backend = f"{route['metadata']['name']}/rule/{rules[0]}/backend"
    return {
        Side.STABLE: f"{backend}/{stable[0]}",
        Side.CANARY: f"{backend}/{canary[0] if canary else len(refs)}",
    }


def _drops_zero_weight(route: Object, rule: Rule) -> bool:
    """Envoy Gateway makes no cluster for a backend of weight 0 where each has one of its own."""
    filtered = any(ref.get("filters") for ref in rule.get("backendRefs") or [])
    return filtered and ENVOY_GATEWAY in _controller_names(route)


def _is_backend(ref: Ref, service: str, route: Object) -> bool:
    return _sends_to(ref, service, route["metadata"].get("namespace", ""))


def _dialect_of(route: Object) -> Dialect:
    return GRPC_ROUTE if route.get("kind") == GRPC_ROUTES.kind else HTTP_ROUTE


def _build_dialect(kind: Kind) -> Dialect:
    return Dialect(
        kind=kind,
        at=("spec", "rules"),
        refs="backendRefs",
        sends_to=_sends_to,
        canary_backend=_canary_backend,
        confirmed=is_confirmed,
        backends=_metric_names,
        drops_zero_weight=_drops_zero_weight,
        is_observed=is_observed,
        refused=explain_refusal,
    )


HTTP_ROUTE = _build_dialect(HTTP_ROUTES)
GRPC_ROUTE = _build_dialect(GRPC_ROUTES)
