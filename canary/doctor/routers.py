"""Which routers this cluster has, and whether somebody listens to them."""

from collections.abc import Iterator

from canary.discovery.topology import DIALECTS
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, unseen
from canary.errors import CanaryError
from canary.kube.objects import Kind, Object
from canary.text.format import listed

CLASSES = Kind("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass")


def routers(patient: Patient) -> Iterator[Diagnosis]:
    """The kinds of routes that can be weighted, and the Gateway API's controllers."""
    served = [one.kind for one in DIALECTS if patient.server.served(one.kind)]
    if not served:
        said = "no router that can be weighted: no Gateway API, no Istio, no Traefik"
        remedy = "releases can share traffic by number of pods only; better: docs/routers.md"
        yield doubtful("routers", said, remedy)
        return
    yield fine("routers", f"the cluster serves {listed(kind.kind for kind in served)}")
    if any(kind.group == CLASSES.group for kind in served):
        yield from _gateways(patient)


def _gateways(patient: Patient) -> Iterator[Diagnosis]:
    try:
        classes = patient.server.list(CLASSES, "", {})
    except CanaryError as error:
        yield unseen("gateways", error, "ask somebody who may list gatewayclasses")
        return
    accepted = [one for one in classes if _accepted(one)]
    for one in classes:
        if one not in accepted:
            said = f"GatewayClass {_name(one)} is not accepted by {_controller(one)}"
            yield doubtful("gateways", said, "is that controller running? see its status")
    if accepted:
        said = ", ".join(f"{_name(one)} ({_controller(one)})" for one in accepted)
        yield fine("gateways", f"accepted: {said}")
    elif not classes:
        said = "the Gateway API is installed, and no controller has a GatewayClass"
        yield doubtful("gateways", said, "install a controller, if you use HTTPRoute or GRPCRoute")


def _accepted(one: Object) -> bool:
    conditions = (one.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Accepted" and found["status"] == "True" for found in conditions)


def _name(one: Object) -> str:
    return str(one["metadata"]["name"])


def _controller(one: Object) -> str:
    return str((one.get("spec") or {}).get("controllerName"))


def unlistened(patient: Patient, releases: list[Object]) -> Iterator[Diagnosis]:
    """Releases with a route that no controller has accepted as it is."""
    for release in releases:
        traffic = release["spec"].get("traffic") or {}
        for one in (traffic, *(traffic.get("routes") or ())):
            if gateway := one.get("gatewayAPI"):
                yield from _unlistened(patient, release, gateway)


def _unlistened(patient: Patient, release: Object, gateway: Object) -> Iterator[Diagnosis]:
    kind = gateway.get("kind", "HTTPRoute")
    dialect = next((one for one in DIALECTS if one.kind.kind == kind), None)
    namespace, name = release["metadata"]["namespace"], release["metadata"]["name"]
    if dialect is None:
        return
    try:
        route = patient.server.get(dialect.kind, namespace, gateway["name"])
    except CanaryError:
        return
    if route is not None and not dialect.confirmed(route):
        said = f"no controller has accepted {kind} {gateway['name']} as it is"
        see = f"kubectl -n {namespace} get {kind} {gateway['name']} -o yaml, status.parents"
        yield doubtful(f"release {namespace}/{name}", said, f"see {see}")
