"""Suggests commands for finding the cause of a reason. Pure."""

from collections.abc import Iterator, Sequence

from canary.api import LookAt
from canary.render.release_view import ReleaseView


def suggest_commands(view: ReleaseView, pods: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield `(command, what it shows)`; `pods` are the names of the canary's existing pods."""
    here, target = f"-n {view.namespace}", view.spec.target.name
    match view.status.reason.info.look_at:
        case LookAt.CANARY_PODS if pods:
            chosen = "-l canary-controller.dev/role=canary"
            yield f"kubectl describe pods {here} {chosen}", "why the canary's pods are not ready"
        case LookAt.CANARY_PODS:
            events = f"kubectl get events {here} --sort-by=.lastTimestamp"
            yield events, "what happened to the canary's pods in the last hour"
        case LookAt.CRASHED_PODS if pods:
            yield f"kubectl logs {here} {pods[0]} --previous", "the log before the last crash"
        case LookAt.CHECK_JOBS:
            yield f"kubectl get jobs {here} -l canary-controller.dev/check", "the checks' Jobs"
        case LookAt.DEPLOYMENTS:
            yield f"kubectl get deployments {here}", "which Deployments exist"
        case LookAt.TARGET:
            yield f"kubectl describe deployment {target} {here}", "what the target waits for"
        case LookAt.ROUTE:
            yield f"kubectl get {_route_names(view)} {here} -o yaml", "the current route"
        case LookAt.DOCTOR:
            yield "canary doctor", "what is missing, and how to fix it"
        case LookAt.SUSPEND:
            patch = '--type=merge -p \'{"spec":{"suspend":false}}\''
            yield f"kubectl patch canaryrelease {view.name} {here} {patch}", "start the release"
        case _:
            pass


def _route_names(view: ReleaseView) -> str:
    routes = view.spec.traffic.each
    if routes:
        return " ".join(f"{route.kind.lower()}/{route.name}" for route in routes)
    return f"deployment {view.spec.target.name}-canary"
