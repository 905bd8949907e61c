"""Where to look next, reason by reason: commands to paste. Pure."""

from collections.abc import Iterator, Sequence

from canary.api import Reason
from canary.render.sight import Sight

_PODS = {Reason.CANARY_NOT_READY, Reason.NEVER_READY}
_CRASHED = {Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY}
_CHECKS = {Reason.CHECKS_RUNNING, Reason.CHECK_FAILED, Reason.CHECK_INCONCLUSIVE}
_TARGET = {
    Reason.TARGET_NOT_STABLE,
    Reason.TARGET_SCALED_TO_ZERO,
    Reason.ROLLING_TARGET,
    Reason.ROLL_FAILED,
}
_ROUTE = {
    Reason.ROUTE_NOT_FOUND,
    Reason.ROUTE_NOT_ACCEPTED,
    Reason.CONTESTED,
    Reason.SHIFTING_TRAFFIC,
}
_ROUTE |= {Reason.TRAFFIC_NOT_SHIFTED, Reason.RESTORING_ROUTE}
_DOCTOR = {
    Reason.NO_DATA,
    Reason.MONITORING_UNAVAILABLE,
    Reason.API_REFUSED,
    Reason.SERVICE_SELECTS_NO_POD,
    Reason.NOT_ISOLATED,
    Reason.SERVICE_NOT_FOUND,
}


def looks(sight: Sight, pods: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`(command, what it shows)`; `pods` are names of the canary's pods that are there now."""
    reason, here, target = sight.status.reason, f"-n {sight.namespace}", sight.spec.target.name
    if reason in _PODS and pods:
        chosen = "-l canary-controller.dev/role=canary"
        yield f"kubectl describe pods {here} {chosen}", "why the canary's pods are not ready"
    if reason in _PODS and not pods:
        events = f"kubectl get events {here} --sort-by=.lastTimestamp"
        yield events, "what became of the canary's pods, for an hour"
    if reason in _CRASHED and pods:
        yield f"kubectl logs {here} {pods[0]} --previous", "its last words, while it is there"
    if reason in _CHECKS:
        yield f"kubectl get jobs {here} -l canary-controller.dev/check", "the checks' Jobs"
    if reason is Reason.TARGET_NOT_FOUND:
        yield f"kubectl get deployments {here}", "which Deployments there are"
    if reason in _TARGET:
        yield f"kubectl describe deployment {target} {here}", "what the target waits for"
    if reason in _ROUTE:
        yield f"kubectl get {_route(sight)} {here} -o yaml", "the route as it is now"
    if reason in _DOCTOR:
        yield "canary doctor", "what is missing, with the remedy for each"
    if reason is Reason.SUSPENDED:
        patch = '--type=merge -p \'{"spec":{"suspend":false}}\''
        yield f"kubectl patch canaryrelease {sight.name} {here} {patch}", "let it begin"


def _route(sight: Sight) -> str:
    routes = sight.spec.traffic.each
    if routes:
        return " ".join(f"{route.kind.lower()}/{route.name}" for route in routes)
    return f"deployment {sight.spec.target.name}-canary"
