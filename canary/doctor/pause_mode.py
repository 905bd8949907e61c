"""Checks how rollouts are held, and whether the admission policy covers all releases."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from canary.discovery.label_selector import selector_matches
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_unknown,
    report_warning,
)
from canary.doctor.operators import OperatorDeployment
from canary.errors import CanaryError, NotFoundError
from canary.kube.objects import Kind, Object
from canary.kube.workloads import PauseMode, read_pause_mode
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from canary.operator.pause_mode import POLICY, PauseModeOption

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
_OLDER = ("v1beta1", "v1alpha1")
_AT_REST = "AtRest: Deployments stay paused"
_APPLY = "kubectl apply --server-side -k manifests/hold"


def check_pause_mode(
    context: DoctorContext, operator: OperatorDeployment | None, releases: Iterable[Object]
) -> Iterator[Diagnosis]:
    """Check the mode that the operator uses to hold rollouts."""
    mode, name = PauseModeOption.AUTO, POLICY
    if operator is not None:
        mode = PauseModeOption(operator.option_value("hold-mode", mode))
        name = operator.option_value("hold-policy", name)
    if mode is PauseModeOption.AT_REST:
        yield report_ok("holding", f"{_AT_REST} (--hold-mode at-rest)")
        return
    try:
        found = read_pause_mode(context.server, name)
        policy = context.server.get(POLICIES, "", name)
        binding = context.server.get(BINDINGS, "", name)
    except NotFoundError:
        yield from _report_unserved_policies(context, mode)
        return
    except CanaryError as error:
        yield report_unknown(
            "holding", error, "ask somebody with the right to get admission policies"
        )
        return
    if policy is None or binding is None:
        yield _report_missing_policy(name, mode, policy)
    elif found is PauseMode.AT_REST and mode is PauseModeOption.AUTO:
        said = f"{_AT_REST}, because the binding {name} does not apply to all Deployments"
        yield report_warning(
            "holding", said, "remove spec.matchResources, or use --hold-mode on-change"
        )
    else:
        yield from _check_coverage(context, _PausePolicy(name, policy, binding), operator, releases)


class _PausePolicy:
    """The admission policy and its binding."""

    def __init__(self, name: str, policy: Object, binding: Object) -> None:
        self.name = name
        self.policy: Object = policy["spec"]
        self.binding: Object = binding["spec"]

    @property
    def scopes(self) -> tuple[Mapping[str, Any], ...]:
        """The match rules of policy and binding."""
        return (
            self.policy.get("matchConstraints") or {},
            self.binding.get("matchResources") or {},
        )

    def reaches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the policy applies in a namespace with these labels."""
        return all(selector_matches(one.get("namespaceSelector"), labels) for one in self.scopes)

    @property
    def selects_objects(self) -> bool:
        """Whether the policy applies only to Deployments with certain labels."""
        return any(one.get("objectSelector") for one in self.scopes)


def _check_coverage(
    context: DoctorContext,
    hold: _PausePolicy,
    operator: OperatorDeployment | None,
    releases: Iterable[Object],
) -> Iterator[Diagnosis]:
    if hold.binding.get("policyName") != hold.name:
        said = f"the binding {hold.name} references policy {hold.binding.get('policyName')}"
        yield report_error("holding", said, f"restore both: {_APPLY}")
        return
    namespaces = sorted({one["metadata"]["namespace"] for one in releases})
    left_out = [one for one in namespaces if not hold.reaches(_namespace_labels(context, one))]
    if left_out:
        said = f"policy {hold.name} does not apply in {', '.join(left_out)}, which have releases"
        yield report_error("holding", said, "widen namespaceSelector of the policy and its binding")
    elif hold.selects_objects:
        said = f"policy {hold.name} applies only to Deployments that its objectSelector selects"
        yield report_warning(
            "holding", said, "remove objectSelector from the policy and its binding"
        )
    else:
        said = f"OnChange: policy {hold.name} pauses a Deployment when its template changes"
        yield report_ok("holding", said)
    yield from _check_exemption(hold, operator)


def _check_exemption(
    hold: _PausePolicy, operator: OperatorDeployment | None
) -> Iterator[Diagnosis]:
    """Check that the policy exempts the operator, or it could never promote a release."""
    conditions = " ".join(
        str(one.get("expression")) for one in hold.policy.get("matchConditions") or ()
    )
    if operator is not None and operator.account not in conditions:
        said = f"policy {hold.name} does not exempt the operator, {operator.account}"
        yield report_error("holding", said, "add the account to the match condition not-us")


def _namespace_labels(context: DoctorContext, namespace: str) -> Mapping[str, str]:
    """Return a namespace's labels; at least its name, which every namespace has as a label."""
    own = {"kubernetes.io/metadata.name": namespace}
    try:
        found = context.server.get(NAMESPACES, "", namespace)
    except CanaryError:
        return own
    return own | ((found or {}).get("metadata", {}).get("labels") or {})


def _report_missing_policy(name: str, mode: PauseModeOption, policy: Object | None) -> Diagnosis:
    what = "binding" if policy else "MutatingAdmissionPolicy"
    if mode is PauseModeOption.ON_CHANGE:
        said = f"the operator runs with --hold-mode on-change, and there is no {what} {name}"
        return report_error("holding", said, f"install it: {_APPLY}")
    if policy:
        said = f"{_AT_REST}, because policy {name} has no binding"
        return report_warning("holding", said, f"install both: {_APPLY}")
    return report_warning(
        "holding",
        f"{_AT_REST}; the cluster supports OnChange, but the policy {name} is missing",
        f"{_APPLY} (helm --wait and kubectl rollout restart then work as usual)",
    )


def _report_unserved_policies(context: DoctorContext, mode: PauseModeOption) -> Iterator[Diagnosis]:
    older = [
        version
        for version in _OLDER
        if context.server.serves_kind(Kind(POLICIES.group, version, POLICIES.plural, POLICIES.kind))
    ]
    serves = f"MutatingAdmissionPolicy only as {older[0]}" if older else "no admission policies"
    said = f"{_AT_REST}: this cluster serves {serves} (v1 since Kubernetes 1.36)"
    if mode is PauseModeOption.ON_CHANGE:
        yield report_error("holding", said, "set --hold-mode auto")
    else:
        yield report_ok("holding", said)
