"""Which way of holding this cluster allows."""

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
    """OnChange where the API server serves the policy, bound to every Deployment, else AtRest.

    A binding to some namespaces only (`matchResources`) may miss a target, which would then roll
    unvetted: who knows that it does not says `--hold-mode on-change`.

    Raises TransientError when it cannot be told: guessing would leave targets unguarded.
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
