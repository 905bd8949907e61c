"""What we write on other people's objects, and how ours are called."""

from collections.abc import Mapping
from typing import Any

from canary.core.snapshot import ReleaseResource
from canary.kube.objects import RELEASES, Object

GROUP = "canary-controller.dev"
HOLD = f"{GROUP}/hold"
"""On the target: the CanaryRelease that guards it. The admission policy looks for it."""
STABLE = f"{GROUP}/stable"
"""On the target: our hash of the vetted template."""
STABLE_SET = f"{GROUP}/stable-replicaset"
"""On the target: the ReplicaSet that keeps the vetted template."""
REJECTED = f"{GROUP}/rejected"
"""On the target, also without a CanaryRelease: the template that was rolled back, as JSON."""
TEMPLATE = f"{GROUP}/template"
"""On the canary: our hash of the user's template that it was made from."""
CAPACITY = f"{GROUP}/capacity"
"""On an autoscaler, while a release runs: what minReplicas was, and what we made of it."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""On a pod template: `kubectl rollout restart` writes it, and so do we."""
REQUEST = f"{GROUP}/request"
"""On the CanaryRelease: what a person asks for."""
CHECK = f"{GROUP}/check"
"""Label of Jobs made for checks: the check's name."""
CHECKS = f"{GROUP}/checks"
"""Label of a CronJob whose template may be run as a check: `allowed`."""
ALLOWED = "allowed"
ROLE = f"{GROUP}/role"
"""Label of everything that belongs to a canary."""
FINALIZER = f"{GROUP}/put-back"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "canary-controller"


def canary_name(resource: ReleaseResource) -> str:
    """Of the canary's Deployment and of its Service."""
    return f"{resource.spec.target.name}-canary"


def service_name(resource: ReleaseResource) -> str:
    """Of the user's Service."""
    return resource.spec.service.name if resource.spec.service else resource.spec.target.name


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's annotations; empty where there are none."""
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's labels; empty where there are none."""
    found: Mapping[str, str] = obj.get("metadata", {}).get("labels") or {}
    return found


def allows_checks(cron_job: Object) -> bool:
    """Whether whoever wrote a CronJob lets checks run it: its account may have more rights."""
    return (cron_job["metadata"].get("labels") or {}).get(CHECKS) == ALLOWED


def controlled_by(obj: Object, owner: str) -> bool:
    """Whether the object's controller has this uid."""
    references = obj["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one.get("uid") == owner for one in references)


def owner_references(release: Object) -> list[Object]:
    """The owner reference of everything that goes when the CanaryRelease goes."""
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
