"""What a reviewer says of a release beside the objects that it names. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from canary.core.rollout import canary_size
from canary.core.snapshot import Obstacle
from canary.discovery.referenced_objects import Named, Scenery
from canary.discovery.selector_conflicts import Relabelled, missed, missed_by_pods
from canary.discovery.topology import OLD_TRAEFIK
from canary.discovery.workload_risks import exclusive_resources, unversioned_configuration
from canary.kube.workloads.isolation import replaced_labels
from canary.kube.workloads.names import HOLD, annotations_of, labels_of
from canary.lint.rules import Finding, finding
from canary.routers.gateway_api import ENVOY_GATEWAY
from canary.routers.split import problem

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
    workers = scene.spec.traffic.replicas is not None and scene.spec.service is None
    if scene.service is None and not workers:
        said = f"there is no Service {names.service} {where}"
        yield finding("service-missing", ("spec", "service", "name"), said)
    for one in scene.routes:
        if one.route is None:
            said = f"{one.router.kind} {one.router.name} is not there {where}"
            yield finding("route-missing", one.path, said)
    for trouble in scene.unseen:
        yield finding("not-looked", ("metadata", "name"), trouble)


def _target(scene: Scenery) -> Iterator[Finding]:
    target, spec = scene.target, scene.spec
    if target is None:
        return
    wanted = target["spec"]
    replicas = int(wanted.get("replicas", 1))
    first = spec.steps[0].weight
    if replicas > 0 and canary_size(spec, replicas, first) == 1:
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
    holder = annotations_of(target).get(HOLD)
    if holder not in {None, scene.release.metadata.name}:
        said = f"Deployment {scene.names.target} is held by CanaryRelease {holder}"
        yield finding("target-taken", _TARGET, said)


def _workload(scene: Scenery) -> Iterator[Finding]:
    if scene.target is None:
        return
    name, template = scene.names.target, scene.target["spec"]["template"]
    for other in scene.other_controllers:
        yield finding("other-controller", _TARGET, f"{other} scales Deployment {name} as well")
    if scene.scaled_object is not None:
        said = f"ScaledObject {scene.scaled_object} scales Deployment {name}"
        yield finding("capacity-not-kept", _TARGET, said)
    for sentence in exclusive_resources(template, scene.claims):
        yield finding("exclusive-resource", _TARGET, sentence)
    if found := list(unversioned_configuration(template)):
        said = f"Deployment {name} reads {', '.join(found)}, which can change without a release"
        yield finding("configuration-unversioned", _TARGET, said)


def _isolation(scene: Scenery) -> Iterator[Finding]:
    target, service, spec = scene.target, scene.service, scene.spec
    if target is None or service is None:
        return
    template = target["spec"]["template"]
    replaced = replaced_labels(spec, service, scene.services, target)
    if isinstance(replaced, Obstacle):
        path = ("spec", "isolation", "labels") if spec.isolation else ("spec", "service", "name")
        yield finding("not-isolated", path, replaced.message)
        return
    if not replaced:
        return
    relabelled = Relabelled(labels_of(template), replaced)
    for sentence in (
        *missed(scene.neighbours, relabelled),
        *missed_by_pods(template, relabelled),
    ):
        yield finding("canary-missed", ("spec", "isolation", "labels"), sentence)


def _route(scene: Scenery) -> Iterator[Finding]:
    fit = True
    for one in scene.routes:
        if one.route is None:
            yield from _outdated(scene, one)
            continue
        what, names = (
            f"{one.router.kind} {one.router.name}",
            replace(scene.names, part=one.router.part),
        )
        trouble = problem(one.dialect, one.route, names)
        if trouble is not None:
            fit = False
            yield finding("route-unfit", one.path, trouble)
        elif scene.whole and not one.dialect.confirmed(one.route):
            yield finding("route-not-accepted", one.path, f"{what} is not accepted by every parent")
    yield from _unsplit(scene)
    yield from _envoy(scene) if fit else ()


def _outdated(scene: Scenery, named: Named) -> Iterator[Finding]:
    """The route that is named is there, but in an API group that Traefik has left."""
    if old := [one for one in scene.outdated if one == f"TraefikService {named.router.name}"]:
        said = (
            f"{old[0]} is in the API group {OLD_TRAEFIK}, which is too old: move it to traefik.io"
        )
        yield finding("route-unfit", named.path, said)


def _unsplit(scene: Scenery) -> Iterator[Finding]:
    """Routes to the Service by which nobody meets the canary."""
    named = {f"{one.router.kind}/{one.router.name}" for one in scene.routes}
    service, path = scene.names.service, ("spec", "traffic")
    for way in scene.ways:
        if way.name not in named:
            yield finding("route-unsplit", path, f"{way.name} sends to Service {service} as well")
    for foreign in scene.elsewhere:
        said = f"{foreign} sends to Service {service} from another namespace, where no release "
        yield finding("route-unsplit", path, said + f"of {scene.names.namespace} can weight it")


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


CHECKS: Sequence[Check] = (_there, _target, _workload, _isolation, _route)
