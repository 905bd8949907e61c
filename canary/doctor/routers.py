"""Checks which routers the cluster has, and whether controllers accept the routes."""

from collections.abc import Iterator

from canary.discovery.topology import DIALECTS
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_ok,
    report_unknown,
    report_warning,
)
from canary.errors import CanaryError
from canary.kube.objects import Kind, Object
from canary.text.format import join_names

GATEWAY_CLASSES = Kind("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass")


def check_routers(context: DoctorContext) -> Iterator[Diagnosis]:
    """Check for kinds of routes that can be weighted, and for Gateway API controllers."""
    served = [one.kind for one in DIALECTS if context.server.serves_kind(one.kind)]
    if not served:
        said = "no supported router: expected Gateway API, Istio or Traefik"
        remedy = "install one (docs/routers.md); until then traffic is split by number of pods"
        yield report_warning("routers", said, remedy)
        return
    yield report_ok("routers", f"the cluster serves {join_names(kind.kind for kind in served)}")
    if any(kind.group == GATEWAY_CLASSES.group for kind in served):
        yield from _check_gateway_classes(context)


def _check_gateway_classes(context: DoctorContext) -> Iterator[Diagnosis]:
    try:
        classes = context.server.list(GATEWAY_CLASSES, "", {})
    except CanaryError as error:
        yield report_unknown(
            "gateways", error, "ask somebody with the right to list gatewayclasses"
        )
        return
    accepted = [one for one in classes if _is_accepted(one)]
    for one in classes:
        if one not in accepted:
            said = f"{_controller_name(one)} has not accepted GatewayClass {_object_name(one)}"
            yield report_warning("gateways", said, "check that the controller runs, and its status")
    if accepted:
        said = ", ".join(f"{_object_name(one)} ({_controller_name(one)})" for one in accepted)
        yield report_ok("gateways", f"accepted: {said}")
    elif not classes:
        said = "the Gateway API is installed, but there is no GatewayClass"
        yield report_warning(
            "gateways", said, "install a controller if you use HTTPRoute or GRPCRoute"
        )


def _is_accepted(one: Object) -> bool:
    conditions = (one.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Accepted" and found["status"] == "True" for found in conditions)


def _object_name(one: Object) -> str:
    return str(one["metadata"]["name"])


def _controller_name(one: Object) -> str:
    return str((one.get("spec") or {}).get("controllerName"))


def check_routes_accepted(context: DoctorContext, releases: list[Object]) -> Iterator[Diagnosis]:
    """Report releases with a route that no controller has accepted."""
    for release in releases:
        traffic = release["spec"].get("traffic") or {}
        for one in (traffic, *(traffic.get("routes") or ())):
            if gateway := one.get("gatewayAPI"):
                yield from _check_route_accepted(context, release, gateway)


def _check_route_accepted(
    context: DoctorContext, release: Object, gateway: Object
) -> Iterator[Diagnosis]:
    kind = gateway.get("kind", "HTTPRoute")
    dialect = next((one for one in DIALECTS if one.kind.kind == kind), None)
    namespace, name = release["metadata"]["namespace"], release["metadata"]["name"]
    if dialect is None:
        return
    try:
        route = context.server.get(dialect.kind, namespace, gateway["name"])
    except CanaryError:
        return
    if route is not None and not dialect.confirmed(route):
        said = f"no controller has accepted {kind} {gateway['name']}"
        see = f"kubectl -n {namespace} get {kind} {gateway['name']} -o yaml, status.parents"
        yield report_warning(f"release {namespace}/{name}", said, f"see {see}")
