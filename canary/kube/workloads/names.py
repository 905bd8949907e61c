"""Names of the operator's objects, and its labels and annotations on objects of users."""

from collections.abc import Mapping
from typing import Any

from canary.core.snapshot import ReleaseResource
from canary.kube.objects import RELEASES, Object

GROUP = "canary-controller.dev"
HOLD = f"{GROUP}/hold"
"""On the target: the CanaryRelease that manages it. The admission policy selects by it."""
STABLE = f"{GROUP}/stable"
"""On the target: the hash of the stable template."""
STABLE_SET = f"{GROUP}/stable-replicaset"
"""On the target: the ReplicaSet that has the stable template."""
REJECTED = f"{GROUP}/rejected"
"""On the target, also without a CanaryRelease: the template that was rolled back, as JSON."""
TEMPLATE = f"{GROUP}/template"
"""On the canary: the hash of the target's template that it was created from."""
CAPACITY = f"{GROUP}/capacity"
"""On an autoscaler during a release: the user's minReplicas, and the raised one."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""On a pod template: written by `kubectl rollout restart`, and by the operator's restarts."""
REQUEST = f"{GROUP}/request"
"""On the CanaryRelease: a request of a person, as JSON."""
CHECK = f"{GROUP}/check"
"""Label of Jobs made for checks: the check's name."""
CHECKS = f"{GROUP}/checks"
"""Label of a CronJob whose template may be run as a check: `allowed`."""
ALLOWED = "allowed"
ROLE = f"{GROUP}/role"
"""Label of all objects of a canary."""
FINALIZER = f"{GROUP}/put-back"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "canary-controller"


def canary_name(resource: ReleaseResource) -> str:
    """Return the name of the canary's Deployment and Service."""
    return f"{resource.spec.target.name}-canary"


def service_name(resource: ReleaseResource) -> str:
    """Return the name of the user's Service."""
    return resource.spec.service.name if resource.spec.service else resource.spec.target.name


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the object's annotations; empty when there are none."""
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the object's labels; empty when there are none."""
    found: Mapping[str, str] = obj.get("metadata", {}).get("labels") or {}
    return found


def allows_checks(cron_job: Object) -> bool:
    """Return whether the CronJob's owner allows it as a check: its account may have more rights."""
    return (cron_job["metadata"].get("labels") or {}).get(CHECKS) == ALLOWED


def controlled_by(obj: Object, owner: str) -> bool:
    """Return whether the object's controller has this uid."""
    references = obj["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one.get("uid") == owner for one in references)


def owner_references(release: Object) -> list[Object]:
    """Return the owner reference of objects that are deleted with the CanaryRelease."""
    return [
        {
            "apiVersion": RELEASES.api_version,
            "kind": RELEASES.kind,
            "name": release["metadata"]["name"],
            "uid": release["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
