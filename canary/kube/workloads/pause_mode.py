"""Detects the pause mode that the cluster allows."""

from canary.errors import NotFoundError
from canary.kube.objects import Kind, Object, Objects
from canary.kube.workloads.target import PauseMode

POLICIES = Kind(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"
)
BINDINGS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
)


def read_pause_mode(objects: Objects, policy: str) -> PauseMode:
    """Return OnChange when the policy exists and is bound to every Deployment, else AtRest.

    A binding to some namespaces only (`matchResources`) may miss a target, whose changes would then
    roll out without analysis. `--hold-mode on-change` overrides this.

    Raises TransientError when the policy cannot be read.
    """
    try:
        there = objects.get(POLICIES, "", policy)
        binding = objects.get(BINDINGS, "", policy)
    except NotFoundError:
        return PauseMode.AT_REST
    if there is None or binding is None or _is_narrowed(binding):
        return PauseMode.AT_REST
    return PauseMode.ON_CHANGE


def _is_narrowed(binding: Object) -> bool:
    match = (binding.get("spec") or {}).get("matchResources") or {}
    parts = ("namespaceSelector", "objectSelector", "resourceRules", "excludeResourceRules")
    return any(match.get(part) for part in parts)
