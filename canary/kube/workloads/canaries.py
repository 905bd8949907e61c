"""The canary's Deployment and Service: looked at, made, scaled, deleted. Only ever our own."""

from dataclasses import dataclass

from canary.core.plan import EnsureCanary
from canary.core.snapshot import Canary, Obstacle, ReleaseResource
from canary.errors import ConflictError
from canary.kube.objects import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
    Objects,
)
from canary.kube.workloads.canary_objects import (
    canary_deployment,
    canary_ports,
    canary_service,
)
from canary.kube.workloads.isolation import replaced_labels, selecting_services
from canary.kube.workloads.names import (
    TEMPLATE,
    annotations_of,
    canary_name,
    controlled_by,
    labels_of,
    service_name,
)
from canary.kube.workloads.patches import expect_unchanged
from canary.kube.workloads.pods import is_alive, parse_pod, why_not_created
from canary.kube.workloads.target import TargetState


def read_target(objects: Objects, resource: ReleaseResource) -> TargetState | None:
    """The Deployment that is guarded, with its ReplicaSets."""
    deployment = objects.get(DEPLOYMENTS, resource.namespace, resource.spec.target.name)
    return (
        None
        if deployment is None
        else TargetState(deployment, list_replica_sets(objects, deployment))
    )


def list_replica_sets(objects: Objects, deployment: Object) -> tuple[Object, ...]:
    """The ReplicaSets that a Deployment controls."""
    return tuple(_list_controlled(objects, REPLICA_SETS, deployment, deployment["metadata"]["uid"]))


def list_pods(objects: Objects, deployment: Object, sets: tuple[Object, ...]) -> list[Object]:
    """The pods of a Deployment's ReplicaSets that are not on their way out."""
    found = [
        pod
        for one in sets
        for pod in _list_controlled(objects, PODS, deployment, one["metadata"]["uid"])
    ]
    return [pod for pod in found if is_alive(pod)]


def _list_controlled(objects: Objects, kind: Kind, deployment: Object, owner: str) -> list[Object]:
    metadata, selector = deployment["metadata"], deployment["spec"]["selector"]
    found = objects.list(kind, metadata["namespace"], selector.get("matchLabels") or {})
    return [one for one in found if controlled_by(one, owner)]


def without_service(objects: Objects, resource: ReleaseResource) -> bool:
    """Whether these are workers: nothing is sent to them, they take their work themselves.

    With `replicas`, no Service named in the spec, and none called like the target.
    """
    spec = resource.spec
    if spec.traffic.replicas is None or spec.service is not None:
        return False
    return objects.get(SERVICES, resource.namespace, service_name(resource)) is None


@dataclass(frozen=True, slots=True)
class Canaries:
    """Of all releases; `owner` is the CanaryRelease as the API server has it."""

    objects: Objects

    def read(self, resource: ReleaseResource, owner: Object) -> Canary | None:
        """The canary; without its Service it serves nobody, so it counts as one of no replicas.

        Workers have no Service: see `without_service`.
        """
        deployment = self._ours(DEPLOYMENTS, resource, owner)
        if deployment is None:
            return None
        pods = list_pods(self.objects, deployment, list_replica_sets(self.objects, deployment))
        service = self._ours(SERVICES, resource, owner)
        served = self._served(resource, owner)
        selecting = self._selecting(resource, deployment)
        return Canary(
            template=annotations_of(deployment).get(TEMPLATE, ""),
            replicas=int(deployment["spec"]["replicas"]) if served else 0,
            pods=tuple(parse_pod(pod) for pod in sorted(pods, key=_name_of)),
            not_created=why_not_created(deployment, pods),
            follows_service=service is None
            or self._ports(resource) in (None, service["spec"]["ports"]),
            selected_by=selecting,
        )

    def ensure(
        self,
        resource: ReleaseResource,
        owner: Object,
        seen: TargetState | None,
        action: EnsureCanary,
    ) -> None:
        """There with so many replicas; one of another template has to be deleted before."""
        deployment = self._ours(DEPLOYMENTS, resource, owner)
        has = annotations_of(deployment).get(TEMPLATE) if deployment else action.template
        if has != action.template:
            raise ConflictError(f"the canary is of template {has}, not {action.template}")
        served = self._served(resource, owner)
        if action.replicas > 0 and (deployment is None or not served):
            deployment = self._make(resource, owner, seen, action, deployment)
        self._follow(resource, owner)
        if deployment is not None and deployment["spec"]["replicas"] != action.replicas:
            guard = expect_unchanged(deployment, "/metadata/uid", "/spec/replicas")
            scaled = {"op": "replace", "path": "/spec/replicas", "value": action.replicas}
            name = canary_name(resource)
            self.objects.patch(DEPLOYMENTS, resource.namespace, name, [*guard, scaled])

    def delete(self, resource: ReleaseResource, owner: Object) -> None:
        """Gone; the Deployment last, because it is what the next pass looks for."""
        for kind in (SERVICES, DEPLOYMENTS):
            if self._ours(kind, resource, owner) is not None:
                self.objects.delete(kind, resource.namespace, canary_name(resource), "Background")

    def _served(self, resource: ReleaseResource, owner: Object) -> bool:
        """Whether all that the canary needs beside its Deployment is there."""
        ours = self._ours(SERVICES, resource, owner)
        return ours is not None or without_service(self.objects, resource)

    def _make(
        self,
        resource: ReleaseResource,
        owner: Object,
        seen: TargetState | None,
        action: EnsureCanary,
        deployment: Object | None,
    ) -> Object:
        service = self.objects.get(SERVICES, resource.namespace, service_name(resource))
        alone = without_service(self.objects, resource)
        if seen is None or (service is None and not alone):
            raise ConflictError("the target or its Service is gone: no canary can be made of it")
        name = canary_name(resource)
        body = deployment or self._body(resource, owner, seen, service, action)
        if service is not None and self._ours(SERVICES, resource, owner) is None:
            made = canary_service(name, owner, service, body)
            self.objects.create(SERVICES, resource.namespace, made)
        return deployment or self.objects.create(DEPLOYMENTS, resource.namespace, body)

    def _body(
        self,
        resource: ReleaseResource,
        owner: Object,
        seen: TargetState,
        service: Object | None,
        action: EnsureCanary,
    ) -> Object:
        if seen.wanted != action.template:
            raise ConflictError(f"the target wants {seen.wanted} now, not {action.template}")
        services = self.objects.list(SERVICES, resource.namespace, {})
        replaced = (
            replaced_labels(resource.spec, service, services, seen.deployment) if service else {}
        )
        if isinstance(replaced, Obstacle):
            raise ConflictError(replaced.message)
        name = canary_name(resource)
        body = canary_deployment(name, owner, seen.deployment, replaced, action.template)
        body["spec"]["replicas"] = action.replicas
        return body

    def _selecting(self, resource: ReleaseResource, deployment: Object) -> tuple[str, ...]:
        """Names of other Services that select the canary's pods; with `replicas` they may."""
        if resource.spec.traffic.replicas is not None:
            return ()
        services = self.objects.list(SERVICES, resource.namespace, {})
        pods = labels_of(deployment["spec"]["template"])
        return tuple(sorted(selecting_services(services, resource.spec.target.name, pods)))

    def _follow(self, resource: ReleaseResource, owner: Object) -> None:
        """The canary's Service has the ports of the user's: both may move in mid-release."""
        service, ports = self._ours(SERVICES, resource, owner), self._ports(resource)
        if service is None or ports is None or service["spec"]["ports"] == ports:
            return
        guard = expect_unchanged(service, "/metadata/uid", "/spec/ports")
        moved = {"op": "replace", "path": "/spec/ports", "value": ports}
        self.objects.patch(SERVICES, resource.namespace, canary_name(resource), [*guard, moved])

    def _ports(self, resource: ReleaseResource) -> list[Object] | None:
        service = self.objects.get(SERVICES, resource.namespace, service_name(resource))
        return None if service is None else canary_ports(service)

    def _ours(self, kind: Kind, resource: ReleaseResource, owner: Object) -> Object | None:
        found = self.objects.get(kind, resource.namespace, canary_name(resource))
        ours = found is not None and controlled_by(found, owner["metadata"]["uid"])
        leaving = found is not None and found["metadata"].get("deletionTimestamp")
        return found if ours and not leaving else None


def _name_of(pod: Object) -> str:
    return str(pod["metadata"]["name"])
