"""Dialects of the Gateway API: sets weights in the user's own HTTPRoute or GRPCRoute."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary.core.increments import Side
from canary.kube.objects import GRPC_ROUTES, HTTP_ROUTES, Kind, Object
from canary.routers.dialect import Dialect, Ref, Rule
from canary.routers.names import Names
from canary.routers.split import weighted_rules

ENVOY_GATEWAY = "gateway.envoyproxy.io/gatewayclass-controller"
"""Its metrics name clusters: one per rule, or one per backend if a backend has a filter."""
MESH_CONTROLLERS = {
    "istio.io/gateway-controller",
    "istio.io/mesh-controller",
    "linkerd.io/policy-controller",
}
"""Controllers whose metrics name workloads instead of Services."""


_REQUIRED_CONDITIONS = ("Accepted", "ResolvedRefs")
"""Conditions that must be true for each parent, or the route or a backend gets no traffic."""
_MAX_QUOTE = 200
"""Maximum number of characters quoted from a router's message."""


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
    """Return whether every parent accepted the current generation, with all backends resolved.

    Parents removed from the spec keep their status entry for a while; they are ignored.
    """
    now, generation = _current_parents(route), route["metadata"]["generation"]
    return bool(now) and all(
        _has_condition(parent, kind, generation) for parent in now for kind in _REQUIRED_CONDITIONS
    )


def is_observed(route: Object) -> bool:
    """Return whether every parent has reported on the current generation of the route."""
    generation = route["metadata"]["generation"]
    opinions = (parent.get("conditions") or [] for parent in _current_parents(route))
    return all(any(one.get("observedGeneration") == generation for one in of) for of in opinions)


def explain_refusal(route: Object) -> str | None:
    """Return why a parent rejects the current generation, in a sentence; None if none does."""
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
    """Return Envoy Gateway's names, `ROUTE/rule/N/backend/M`, if a user's filter splits clusters.

    Empty if all backends share a cluster, or if a side has more than one backend. Canary adds no
    filter of its own: clusters that are renamed under traffic fail requests meanwhile.
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
    """Return whether Envoy Gateway drops backends of weight 0: so with a cluster per backend."""
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
