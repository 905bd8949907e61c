"""Which way of holding this cluster allows."""

from canary.errors import NotFoundError
from canary.kube.objects import Kind, Object, Objects
from canary.kube.workloads.target import Holding

POLICIES = Kind(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"
)
BINDINGS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
)


def holding_mode(objects: Objects, policy: str) -> Holding:
    """OnChange where the API server serves the policy, bound to every Deployment, else AtRest.

    A binding to some namespaces only (`matchResources`) may miss a target, which would then roll
    unvetted: who knows that it does not says `--hold-mode on-change`.

    Raises TransientError when it cannot be told: guessing would leave targets unguarded.
    """
    try:
        there = objects.get(POLICIES, "", policy)
        binding = objects.get(BINDINGS, "", policy)
    except NotFoundError:
        return Holding.AT_REST
    if there is None or binding is None or _narrowed(binding):
        return Holding.AT_REST
    return Holding.ON_CHANGE


def _narrowed(binding: Object) -> bool:
    match = (binding.get("spec") or {}).get("matchResources") or {}
    parts = ("namespaceSelector", "objectSelector", "resourceRules", "excludeResourceRules")
    return any(match.get(part) for part in parts)
