"""How Deployments are held, and whether the admission policy that does it covers them all."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from canary.discovery.label_selector import selects
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, unseen, wrong
from canary.doctor.operators import Operator
from canary.errors import CanaryError, NotFoundError
from canary.kube.objects import Kind, Object
from canary.kube.workloads import PauseMode, read_pause_mode
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from canary.operator.pause_mode import POLICY, PauseModeOption

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
_OLDER = ("v1beta1", "v1alpha1")
_AT_REST = "AtRest: Deployments stay paused"
_APPLY = "kubectl apply --server-side -k manifests/hold"


def holding(
    patient: Patient, operator: Operator | None, releases: Iterable[Object]
) -> Iterator[Diagnosis]:
    """The mode that the operator takes, and why."""
    mode = (
        PauseModeOption(operator.told("hold-mode", PauseModeOption.AUTO))
        if operator
        else PauseModeOption.AUTO
    )
    name = operator.told("hold-policy", POLICY) if operator else POLICY
    if mode is PauseModeOption.AT_REST:
        yield fine("holding", f"{_AT_REST}, as the operator is told")
        return
    try:
        found = read_pause_mode(patient.server, name)
        policy = patient.server.get(POLICIES, "", name)
        binding = patient.server.get(BINDINGS, "", name)
    except NotFoundError:
        yield from _unserved(patient, mode)
        return
    except CanaryError as error:
        yield unseen("holding", error, "ask somebody who may get admission policies")
        return
    if policy is None or binding is None:
        yield _absent(name, mode, policy)
    elif found is PauseMode.AT_REST and mode is PauseModeOption.AUTO:
        said = f"{_AT_REST}, because the binding {name} does not hold for all Deployments"
        yield doubtful("holding", said, "remove spec.matchResources, or use --hold-mode on-change")
    else:
        yield from _covers(patient, _Hold(name, policy, binding), operator, releases)


class _Hold:
    """The policy and its binding."""

    def __init__(self, name: str, policy: Object, binding: Object) -> None:
        self.name = name
        self.policy: Object = policy["spec"]
        self.binding: Object = binding["spec"]

    @property
    def scopes(self) -> tuple[Mapping[str, Any], ...]:
        """What both say about where they hold."""
        return (
            self.policy.get("matchConstraints") or {},
            self.binding.get("matchResources") or {},
        )

    def reaches(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds in a namespace with these labels."""
        return all(selects(one.get("namespaceSelector"), labels) for one in self.scopes)

    @property
    def picky(self) -> bool:
        """It holds for Deployments with some labels only."""
        return any(one.get("objectSelector") for one in self.scopes)


def _covers(
    patient: Patient, hold: _Hold, operator: Operator | None, releases: Iterable[Object]
) -> Iterator[Diagnosis]:
    if hold.binding.get("policyName") != hold.name:
        said = f"the binding {hold.name} is of policy {hold.binding.get('policyName')}"
        yield wrong("holding", said, f"put both back: {_APPLY}")
        return
    namespaces = sorted({one["metadata"]["namespace"] for one in releases})
    left_out = [one for one in namespaces if not hold.reaches(_labels(patient, one))]
    if left_out:
        said = f"policy {hold.name} does not hold in {', '.join(left_out)}, where releases are"
        yield wrong("holding", said, "widen namespaceSelector of the policy and its binding")
    elif hold.picky:
        said = f"policy {hold.name} holds only Deployments that its objectSelector selects"
        yield doubtful("holding", said, "remove objectSelector from the policy and its binding")
    else:
        said = f"OnChange: policy {hold.name} pauses a Deployment as its template changes"
        yield fine("holding", said)
    yield from _exempts(hold, operator)


def _exempts(hold: _Hold, operator: Operator | None) -> Iterator[Diagnosis]:
    """A policy that holds the operator as well never lets a release be promoted."""
    conditions = " ".join(
        str(one.get("expression")) for one in hold.policy.get("matchConditions") or ()
    )
    if operator is not None and operator.account not in conditions:
        said = f"policy {hold.name} does not exempt {operator.account}: it would hold the operator"
        yield wrong("holding", said, "name that account in its condition not-us")


def _labels(patient: Patient, namespace: str) -> Mapping[str, str]:
    """A namespace's labels; the name at least, which every namespace has as a label."""
    own = {"kubernetes.io/metadata.name": namespace}
    try:
        found = patient.server.get(NAMESPACES, "", namespace)
    except CanaryError:
        return own
    return own | ((found or {}).get("metadata", {}).get("labels") or {})


def _absent(name: str, mode: PauseModeOption, policy: Object | None) -> Diagnosis:
    what = "binding" if policy else "MutatingAdmissionPolicy"
    if mode is PauseModeOption.ON_CHANGE:
        said = f"the operator is told to hold on change, and there is no {what} {name}"
        return wrong("holding", said, f"install it: {_APPLY}")
    if policy:
        said = f"{_AT_REST}, because policy {name} has no binding"
        return doubtful("holding", said, f"install both: {_APPLY}")
    return doubtful(
        "holding",
        f"{_AT_REST}; this cluster could hold them on change, and the policy {name} is missing",
        f"{_APPLY} (then helm --wait and kubectl rollout restart work as usual)",
    )


def _unserved(patient: Patient, mode: PauseModeOption) -> Iterator[Diagnosis]:
    older = [
        version
        for version in _OLDER
        if patient.server.served(Kind(POLICIES.group, version, POLICIES.plural, POLICIES.kind))
    ]
    serves = f"MutatingAdmissionPolicy only as {older[0]}" if older else "no admission policies"
    said = f"{_AT_REST}: this cluster serves {serves} (v1 since Kubernetes 1.36)"
    if mode is PauseModeOption.ON_CHANGE:
        yield wrong("holding", said, "set --hold-mode auto")
    else:
        yield fine("holding", said)
