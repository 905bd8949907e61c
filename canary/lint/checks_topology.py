"""Checks a release together with the objects that it references. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from canary.core.rollout import canary_size
from canary.core.snapshot import Obstacle
from canary.discovery.referenced_objects import ReferencedObjects, ReferencedRoute
from canary.discovery.selector_conflicts import (
    CanaryLabels,
    find_affinity_conflicts,
    find_conflicts,
)
from canary.discovery.topology import OLD_TRAEFIK_GROUP
from canary.discovery.workload_risks import find_exclusive_resources, find_unversioned_configuration
from canary.kube.workloads.isolation import replaced_labels
from canary.kube.workloads.names import HOLD, annotations_of, labels_of
from canary.lint.rules import LintFinding, make_finding
from canary.routers.gateway_api import ENVOY_GATEWAY
from canary.routers.split import find_problem

TopologyCheck = Callable[[ReferencedObjects], Iterator[LintFinding]]

_TARGET = ("spec", "target", "name")


def check_topology(objects: ReferencedObjects) -> list[LintFinding]:
    """Run all checks of target, Service, routes and selectors."""
    return [found for check in CHECKS for found in check(objects)]


def _check_existence(objects: ReferencedObjects) -> Iterator[LintFinding]:
    if not objects.from_cluster:
        return
    where, names = f"in namespace {objects.names.namespace}", objects.names
    if objects.target is None:
        yield make_finding(
            "target-missing", _TARGET, f"there is no Deployment {names.target} {where}"
        )
    workers = objects.spec.traffic.replicas is not None and objects.spec.service is None
    if objects.service is None and not workers:
        said = f"there is no Service {names.service} {where}"
        yield make_finding("service-missing", ("spec", "service", "name"), said)
    for one in objects.routes:
        if one.route is None:
            said = f"there is no {one.router.kind} {one.router.name} {where}"
            yield make_finding("route-missing", one.path, said)
    for trouble in objects.lookup_errors:
        yield make_finding("lookup-failed", ("metadata", "name"), trouble)


def _check_target(objects: ReferencedObjects) -> Iterator[LintFinding]:
    target, spec = objects.target, objects.spec
    if target is None:
        return
    wanted = target["spec"]
    replicas = int(wanted.get("replicas", 1))
    first = spec.steps[0].weight
    if replicas > 0 and canary_size(spec, replicas, first) == 1:
        said = f"Deployment {objects.names.target} has {replicas} replica, so the canary is one pod"
        yield make_finding("one-canary-pod", _TARGET, said)
    if wanted.get("revisionHistoryLimit") == 0:
        said = f"Deployment {objects.names.target} has revisionHistoryLimit: 0"
        yield make_finding("no-history", _TARGET, said)
    recreate = (wanted.get("strategy") or {}).get("type") == "Recreate"
    if recreate and spec.traffic.replicas is not None:
        said = f"Deployment {objects.names.target} has strategy Recreate"
        yield make_finding("recreate-by-pods", _TARGET, said)
    if not objects.from_cluster and "paused" in wanted:
        said = f"the manifest of Deployment {objects.names.target} sets paused"
        yield make_finding("paused-in-manifest", _TARGET, said)
    holder = annotations_of(target).get(HOLD)
    if holder not in {None, objects.release.metadata.name}:
        said = f"Deployment {objects.names.target} is managed by CanaryRelease {holder}"
        yield make_finding("target-taken", _TARGET, said)


def _check_workload(objects: ReferencedObjects) -> Iterator[LintFinding]:
    if objects.target is None:
        return
    name, template = objects.names.target, objects.target["spec"]["template"]
    for other in objects.other_controllers:
        yield make_finding("other-controller", _TARGET, f"{other} also scales Deployment {name}")
    if objects.scaled_object is not None:
        said = f"ScaledObject {objects.scaled_object} scales Deployment {name}"
        yield make_finding("capacity-not-kept", _TARGET, said)
    for sentence in find_exclusive_resources(template, objects.claims):
        yield make_finding("exclusive-resource", _TARGET, sentence)
    if found := list(find_unversioned_configuration(template)):
        said = f"Deployment {name} reads {', '.join(found)}, which can change without a release"
        yield make_finding("configuration-unversioned", _TARGET, said)


def _check_isolation(objects: ReferencedObjects) -> Iterator[LintFinding]:
    target, service, spec = objects.target, objects.service, objects.spec
    if target is None or service is None:
        return
    template = target["spec"]["template"]
    replaced = replaced_labels(spec, service, objects.services, target)
    if isinstance(replaced, Obstacle):
        path = ("spec", "isolation", "labels") if spec.isolation else ("spec", "service", "name")
        yield make_finding("not-isolated", path, replaced.message)
        return
    if not replaced:
        return
    relabelled = CanaryLabels(labels_of(template), replaced)
    for sentence in (
        *find_conflicts(objects.neighbors, relabelled),
        *find_affinity_conflicts(template, relabelled),
    ):
        yield make_finding("canary-missed", ("spec", "isolation", "labels"), sentence)


def _check_routes(objects: ReferencedObjects) -> Iterator[LintFinding]:
    fit = True
    for one in objects.routes:
        if one.route is None:
            yield from _check_outdated_route(objects, one)
            continue
        what, names = (
            f"{one.router.kind} {one.router.name}",
            replace(objects.names, part=one.router.part),
        )
        trouble = find_problem(one.dialect, one.route, names)
        if trouble is not None:
            fit = False
            yield make_finding("route-unfit", one.path, trouble)
        elif objects.from_cluster and not one.dialect.confirmed(one.route):
            yield make_finding(
                "route-not-accepted", one.path, f"not every parent has accepted {what}"
            )
    yield from _check_unlisted_routes(objects)
    yield from _check_envoy_presets(objects) if fit else ()


def _check_outdated_route(
    objects: ReferencedObjects, named: ReferencedRoute
) -> Iterator[LintFinding]:
    """Check whether the missing route exists in an API group that Traefik no longer reads."""
    if old := [one for one in objects.outdated if one == f"TraefikService {named.router.name}"]:
        said = (
            f"{old[0]} is in the API group {OLD_TRAEFIK_GROUP}, which Traefik no longer reads: "
            "move it to traefik.io"
        )
        yield make_finding("route-unfit", named.path, said)


def _check_unlisted_routes(objects: ReferencedObjects) -> Iterator[LintFinding]:
    """Check for routes to the Service that never send traffic to the canary."""
    named = {f"{one.router.kind}/{one.router.name}" for one in objects.routes}
    service, path = objects.names.service, ("spec", "traffic")
    for route in objects.service_routes:
        if route.name not in named:
            yield make_finding(
                "route-unsplit", path, f"{route.name} also sends traffic to Service {service}"
            )
    for foreign in objects.elsewhere:
        said = f"{foreign} sends traffic to Service {service} from another namespace"
        yield make_finding("route-unsplit", path, f"{said}, where it cannot be weighted")


def _check_envoy_presets(objects: ReferencedObjects) -> Iterator[LintFinding]:
    if objects.dialect is None or objects.route is None or not _is_envoy_gateway(objects.route):
        return
    for index, metric in enumerate(objects.spec.analysis.metrics):
        alike = not objects.dialect.backends(objects.route, objects.names)
        if metric.preset in {"envoy-gateway", "envoy"} and alike:
            said = f"{metric.name}: Envoy's metrics report all backends of the rule as one cluster"
            path = ("spec", "analysis", "metrics", index, metric.kind, "preset")
            yield make_finding("envoy-one-cluster", path, said)


def _is_envoy_gateway(route: dict[str, object]) -> bool:
    status = route.get("status")
    parents = status.get("parents") if isinstance(status, dict) else None
    return any(parent.get("controllerName") == ENVOY_GATEWAY for parent in parents or ())


CHECKS: Sequence[TopologyCheck] = (
    _check_existence,
    _check_target,
    _check_workload,
    _check_isolation,
    _check_routes,
)
