"""Which way of holding this cluster allows."""

from canary.errors import NotFoundError
from canary.kube.objects import Kind, Objects
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
    """OnChange where the API server serves the policy and its binding of this name, else AtRest.

    Raises TransientError when it cannot be told: guessing would leave targets unguarded.
    """
    try:
        there = objects.get(POLICIES, "", policy) and objects.get(BINDINGS, "", policy)
    except NotFoundError:
        return Holding.AT_REST
    return Holding.ON_CHANGE if there else Holding.AT_REST
