"""Reads, creates, scales and deletes the canary's Deployment and Service.

It changes only objects that the CanaryRelease owns.
"""

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
    """Read the managed Deployment with its ReplicaSets; None when it does not exist."""
    deployment = objects.get(DEPLOYMENTS, resource.namespace, resource.spec.target.name)
    return (
        None
        if deployment is None
        else TargetState(deployment, list_replica_sets(objects, deployment))
    )


def list_replica_sets(objects: Objects, deployment: Object) -> tuple[Object, ...]:
    """Return the ReplicaSets that a Deployment controls."""
    return tuple(_list_controlled(objects, REPLICA_SETS, deployment, deployment["metadata"]["uid"]))


def list_pods(objects: Objects, deployment: Object, sets: tuple[Object, ...]) -> list[Object]:
    """Return the pods of these ReplicaSets that neither terminate nor have ended."""
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
    """Return whether the pods are workers, which pull their work and have no Service.

    That is so with `traffic.replicas`, if the spec names no Service and none has the target's
    name.
    """
    spec = resource.spec
    if spec.traffic.replicas is None or spec.service is not None:
        return False
    return objects.get(SERVICES, resource.namespace, service_name(resource)) is None


@dataclass(frozen=True, slots=True)
class Canaries:
    """The canaries of all releases; `owner` is the CanaryRelease as the API server has it."""

    objects: Objects

    def read(self, resource: ReleaseResource, owner: Object) -> Canary | None:
        """Read the canary. Without its Service it gets no traffic, so it counts as 0 replicas.

        Workers have no Service: see `without_service`.
        """
        deployment = self._get_own(DEPLOYMENTS, resource, owner)
        if deployment is None:
            return None
        pods = list_pods(self.objects, deployment, list_replica_sets(self.objects, deployment))
        service = self._get_own(SERVICES, resource, owner)
        served = self._has_service(resource, owner)
        selecting = self._other_services(resource, deployment)
        return Canary(
            template=annotations_of(deployment).get(TEMPLATE, ""),
            replicas=int(deployment["spec"]["replicas"]) if served else 0,
            pods=tuple(parse_pod(pod) for pod in sorted(pods, key=_name_of)),
            not_created=why_not_created(deployment, pods),
            follows_service=service is None
            or self._read_ports(resource) in (None, service["spec"].get("ports")),
            selected_by=selecting,
        )

    def ensure(
        self,
        resource: ReleaseResource,
        owner: Object,
        target: TargetState | None,
        action: EnsureCanary,
    ) -> None:
        """Create or scale the canary. Raises ConflictError for a canary of another template."""
        deployment = self._get_own(DEPLOYMENTS, resource, owner)
        has = annotations_of(deployment).get(TEMPLATE) if deployment else action.template
        if has != action.template:
            raise ConflictError(f"the canary has template {has}, expected {action.template}")
        served = self._has_service(resource, owner)
        if action.replicas > 0 and (deployment is None or not served):
            deployment = self._create_canary(resource, owner, target, action, deployment)
        self._sync_ports(resource, owner)
        if deployment is not None and deployment["spec"]["replicas"] != action.replicas:
            guard = expect_unchanged(deployment, "/metadata/uid", "/spec/replicas")
            scaled = {"op": "replace", "path": "/spec/replicas", "value": action.replicas}
            name = canary_name(resource)
            self.objects.patch(DEPLOYMENTS, resource.namespace, name, [*guard, scaled])

    def delete(self, resource: ReleaseResource, owner: Object) -> None:
        """Delete the canary; the Deployment last, because the next reconcile looks for it."""
        for kind in (SERVICES, DEPLOYMENTS):
            if self._get_own(kind, resource, owner) is not None:
                self.objects.delete(kind, resource.namespace, canary_name(resource), "Background")

    def _has_service(self, resource: ReleaseResource, owner: Object) -> bool:
        """Return whether the canary has its Service, or needs none."""
        ours = self._get_own(SERVICES, resource, owner)
        return ours is not None or without_service(self.objects, resource)

    def _create_canary(
        self,
        resource: ReleaseResource,
        owner: Object,
        target: TargetState | None,
        action: EnsureCanary,
        deployment: Object | None,
    ) -> Object:
        service = self.objects.get(SERVICES, resource.namespace, service_name(resource))
        alone = without_service(self.objects, resource)
        if target is None or (service is None and not alone):
            raise ConflictError(
                "the target or its Service no longer exists, so no canary can be created"
            )
        name = canary_name(resource)
        body = deployment or self._build_deployment(resource, owner, target, service, action)
        if service is not None and self._get_own(SERVICES, resource, owner) is None:
            made = canary_service(name, owner, service, body)
            self.objects.create(SERVICES, resource.namespace, made)
        return deployment or self.objects.create(DEPLOYMENTS, resource.namespace, body)

    def _build_deployment(
        self,
        resource: ReleaseResource,
        owner: Object,
        target: TargetState,
        service: Object | None,
        action: EnsureCanary,
    ) -> Object:
        if target.wanted != action.template:
            raise ConflictError(
                f"the target has template {target.wanted} now, expected {action.template}"
            )
        services = self.objects.list(SERVICES, resource.namespace, {})
        replaced = (
            replaced_labels(resource.spec, service, services, target.deployment) if service else {}
        )
        if isinstance(replaced, Obstacle):
            raise ConflictError(replaced.message)
        name = canary_name(resource)
        body = canary_deployment(name, owner, target.deployment, replaced, action.template)
        body["spec"]["replicas"] = action.replicas
        return body

    def _other_services(self, resource: ReleaseResource, deployment: Object) -> tuple[str, ...]:
        """Return the names of other Services that select the canary's pods.

        With `traffic.replicas` Services share their requests by pods, so none is wrong.
        """
        if resource.spec.traffic.replicas is not None:
            return ()
        services = self.objects.list(SERVICES, resource.namespace, {})
        pods = labels_of(deployment["spec"]["template"])
        return tuple(sorted(selecting_services(services, resource.spec.target.name, pods)))

    def _sync_ports(self, resource: ReleaseResource, owner: Object) -> None:
        """Copy the ports of the user's Service, which may change during a release."""
        service, ports = self._get_own(SERVICES, resource, owner), self._read_ports(resource)
        if service is None or ports is None or service["spec"].get("ports") == ports:
            return
        guard = expect_unchanged(service, "/metadata/uid", "/spec/ports")
        moved = {"op": "replace", "path": "/spec/ports", "value": ports}
        self.objects.patch(SERVICES, resource.namespace, canary_name(resource), [*guard, moved])

    def _read_ports(self, resource: ReleaseResource) -> list[Object] | None:
        service = self.objects.get(SERVICES, resource.namespace, service_name(resource))
        return (canary_ports(service) or None) if service else None

    def _get_own(self, kind: Kind, resource: ReleaseResource, owner: Object) -> Object | None:
        found = self.objects.get(kind, resource.namespace, canary_name(resource))
        ours = found is not None and controlled_by(found, owner["metadata"]["uid"])
        leaving = found is not None and found["metadata"].get("deletionTimestamp")
        return found if ours and not leaving else None


def _name_of(pod: Object) -> str:
    return str(pod["metadata"]["name"])
