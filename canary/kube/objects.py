"""Kubernetes objects as plain dictionaries, and the operations on them.

Typed models drop fields that they do not know. With raw dictionaries, fields that the operator did
not write survive its writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Object = dict[str, Any]
"""One object as the API server has it. It is shared with caches, so it must not be modified."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type; `plural` is its segment in URLs."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The apiVersion, such as `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Kind("apps", "v1", "replicasets", "ReplicaSet")
PODS = Kind("", "v1", "pods", "Pod")
SERVICES = Kind("", "v1", "services", "Service")
EVENTS = Kind("events.k8s.io", "v1", "events", "Event")
SECRETS = Kind("", "v1", "secrets", "Secret")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
JOBS = Kind("batch", "v1", "jobs", "Job")
CRON_JOBS = Kind("batch", "v1", "cronjobs", "CronJob")
AUTOSCALERS = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
RELEASES = Kind("canary-controller.dev", "v1alpha1", "canaryreleases", "CanaryRelease")
HTTP_ROUTES = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPC_ROUTES = Kind("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute")
VIRTUAL_SERVICES = Kind("networking.istio.io", "v1", "virtualservices", "VirtualService")
TRAEFIK_SERVICES = Kind("traefik.io", "v1alpha1", "traefikservices", "TraefikService")

JsonPatch = Sequence[Mapping[str, Any]]
"""RFC 6902: `{"op": "test" | "add" | "replace" | "remove", "path": …, "value": …}`."""


class Objects(Protocol):
    """Reads and writes objects; each write is a compare-and-swap or idempotent.

    Every method raises TransientError (retry), ConflictError (the object changed: read it again),
    NotFoundError or PermanentError (refused, with the API server's message).
    """

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the object, or None when it does not exist."""
        ...

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return all objects with these labels."""
        ...

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        """Create an object. Raises ConflictError when it exists."""
        ...

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        """Apply a JSON Patch. Raises ConflictError when a `test` in it fails."""
        ...

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Write the `status` of an object as read, guarded by its resourceVersion."""
        ...

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Delete an object with an explicit propagation policy; an absent object is no error."""
        ...
