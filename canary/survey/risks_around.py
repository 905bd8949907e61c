"""What a reviewer says of a release beside the objects that it names. Pure."""

from collections.abc import Callable, Iterator, Sequence

from canary.core.rollout import canary_replicas
from canary.kube.workloads.canary_objects import not_isolated, replaced_labels
from canary.kube.workloads.names import HOLD, annotations, labels
from canary.routers.gateway_api import ENVOY_GATEWAY
from canary.routers.split import problem
from canary.survey.relabelling import Relabelled, missed, missed_by_pods
from canary.survey.rules import Finding, finding
from canary.survey.scenery import Scenery

Check = Callable[[Scenery], Iterator[Finding]]

_TARGET = ("spec", "target", "name")


def risks_around(scene: Scenery) -> list[Finding]:
    """All that shows once target, Service, route and neighbours are looked at."""
    return [found for check in CHECKS for found in check(scene)]


def _there(scene: Scenery) -> Iterator[Finding]:
    if not scene.whole:
        return
    where, names = f"in namespace {scene.names.namespace}", scene.names
    if scene.target is None:
        yield finding("target-missing", _TARGET, f"there is no Deployment {names.target} {where}")
    if scene.service is None:
        said = f"there is no Service {names.service} {where}"
        yield finding("service-missing", ("spec", "service", "name"), said)
    if scene.dialect is not None and scene.route is None:
        kind = scene.dialect.kind.kind
        yield finding("route-missing", ("spec", "traffic"), f"that {kind} is not there {where}")
    for trouble in scene.unseen:
        yield finding("not-looked", ("metadata", "name"), trouble)


def _target(scene: Scenery) -> Iterator[Finding]:
    target, spec = scene.target, scene.spec
    if target is None:
        return
    wanted = target["spec"]
    replicas = int(wanted.get("replicas", 1))
    first = spec.steps[0].weight
    if replicas > 0 and canary_replicas(replicas, first) == 1:
        said = f"Deployment {scene.names.target} has {replicas} replica, so the canary is one pod"
        yield finding("one-canary-pod", _TARGET, said)
    if wanted.get("revisionHistoryLimit") == 0:
        said = f"Deployment {scene.names.target} has revisionHistoryLimit: 0"
        yield finding("no-history", _TARGET, said)
    recreate = (wanted.get("strategy") or {}).get("type") == "Recreate"
    if recreate and spec.traffic.replicas is not None:
        said = f"Deployment {scene.names.target} rolls by Recreate"
        yield finding("recreate-by-pods", _TARGET, said)
    if not scene.whole and "paused" in wanted:
        said = f"the manifest of Deployment {scene.names.target} sets paused"
        yield finding("paused-in-manifest", _TARGET, said)
    holder = annotations(target).get(HOLD)
    if holder not in {None, scene.release.metadata.name}:
        said = f"Deployment {scene.names.target} is held by CanaryRelease {holder}"
        yield finding("target-taken", _TARGET, said)


def _isolation(scene: Scenery) -> Iterator[Finding]:
    target, service, spec = scene.target, scene.service, scene.spec
    if target is None or service is None:
        return
    template = target["spec"]["template"]
    obstacle = not_isolated(spec, service, template)
    if obstacle is not None:
        path = ("spec", "isolation", "label") if spec.isolation else ("spec", "service", "name")
        yield finding("not-isolated", path, obstacle.message)
        return
    replaced = replaced_labels(spec, service, target)
    if not replaced:
        return
    relabelled = Relabelled(labels(template), replaced)
    for sentence in (
        *missed(scene.neighbours, relabelled),
        *missed_by_pods(template, relabelled),
    ):
        yield finding("canary-missed", ("spec", "isolation", "label"), sentence)


def _route(scene: Scenery) -> Iterator[Finding]:
    dialect, route = scene.dialect, scene.route
    if dialect is None or route is None:
        return
    path = ("spec", "traffic", _member(scene))
    trouble = problem(dialect, route, scene.names)
    if trouble is not None:
        yield finding("route-unfit", path, trouble)
        return
    if scene.whole and not dialect.confirmed(route):
        said = f"{dialect.kind.kind} {route['metadata']['name']} is not accepted by every parent"
        yield finding("route-not-accepted", path, said)
    yield from _envoy(scene)


def _envoy(scene: Scenery) -> Iterator[Finding]:
    if scene.dialect is None or scene.route is None or not _is_envoys(scene.route):
        return
    for index, metric in enumerate(scene.spec.analysis.metrics):
        alike = not scene.dialect.backends(scene.route, scene.names)
        if metric.preset in {"envoy-gateway", "envoy"} and alike:
            said = f"{metric.name}: all backends of the rule are one cluster in Envoy's metrics"
            path = ("spec", "analysis", "metrics", index, metric.kind, "preset")
            yield finding("envoy-one-cluster", path, said)


def _is_envoys(route: dict[str, object]) -> bool:
    status = route.get("status")
    parents = status.get("parents") if isinstance(status, dict) else None
    return any(parent.get("controllerName") == ENVOY_GATEWAY for parent in parents or ())


def _member(scene: Scenery) -> str:
    traffic = scene.spec.traffic
    if traffic.gateway_api is not None:
        return "gatewayAPI"
    return "istio" if traffic.istio is not None else "traefik"


CHECKS: Sequence[Check] = (_there, _target, _isolation, _route)
