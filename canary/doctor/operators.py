"""Checks the operator: installed, running, of this version, and with a leader."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from canary import __version__
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_unknown,
    report_warning,
)
from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import DEPLOYMENTS, LEASES, Object

_LABELS = {"app.kubernetes.io/name": "canary"}
_DEFAULT_NAMESPACE = "canary-system"
_INSTALL = "install it: docs/install.md"


@dataclass(frozen=True, slots=True)
class OperatorDeployment:
    """The operator's Deployment and its options."""

    deployment: Object

    @property
    def namespace(self) -> str:
        """Namespace of the operator."""
        return str(self.deployment["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """`NAMESPACE/NAME` of its Deployment."""
        return f"{self.namespace}/{self.deployment['metadata']['name']}"

    @property
    def account(self) -> str:
        """The user name of its service account."""
        found = self.deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
        return f"system:serviceaccount:{self.namespace}:{found}"

    @property
    def container(self) -> Object:
        """The container that runs the operator."""
        containers = self.deployment["spec"]["template"]["spec"]["containers"]
        found: Object = next((one for one in containers if _runs_operator(one)), containers[0])
        return found

    def option_value(self, flag: str, default: str) -> str:
        """Return the value of an option such as `prometheus-url`, from arguments or environment."""
        args = [str(one) for one in self.container.get("args") or ()]
        for index, arg in enumerate(args):
            name, equals, value = arg.partition("=")
            if name == f"--{flag}":
                return value if equals else (args[index + 1 :] or [default])[0]
        variable = f"CANARY_{flag.replace('-', '_').upper()}"
        named: Mapping[str, str] = {
            one["name"]: str(one.get("value", "")) for one in self.container.get("env") or ()
        }
        return named.get(variable) or default

    @property
    def scopes(self) -> tuple[str, ...]:
        """The namespaces that the operator manages; one empty name means all."""
        return tuple(self.option_value("namespace", "").split()) or ("",)


def find_operator(context: DoctorContext) -> OperatorDeployment | None:
    """Return the operator of this cluster; the first one if several are installed.

    Raises ForbiddenError if Deployments may be listed neither in all namespaces nor in the
    operator's default namespace.
    """
    try:
        found = context.server.list(DEPLOYMENTS, "", _LABELS)
    except ForbiddenError:
        found = context.server.list(DEPLOYMENTS, _DEFAULT_NAMESPACE, _LABELS)
    operators = [OperatorDeployment(one) for one in found]
    return next((one for one in operators if _runs_operator(one.container)), None)


def _runs_operator(container: Object) -> bool:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return "operator" in words or container.get("name") == "operator"


def check_operator(operator: OperatorDeployment | None) -> Iterator[Diagnosis]:
    """Check the operator's replicas and version."""
    if operator is None:
        said = f"no Deployment with the label {next(iter(_LABELS))}=canary runs `canary operator`"
        yield report_error("operator", said, _INSTALL)
        return
    wanted = int(operator.deployment["spec"].get("replicas", 1))
    ready = int((operator.deployment.get("status") or {}).get("readyReplicas", 0))
    said = (
        f"{operator.name} has {ready} of {wanted} replicas ready, image {_operator_image(operator)}"
    )
    see = f"kubectl -n {operator.namespace} describe deployment; and the pods' logs"
    if ready == 0:
        yield report_error("operator", said, f"see {see}")
    elif ready < wanted:
        yield report_warning("operator", said, f"see {see}")
    else:
        yield report_ok("operator", said)
    yield from _check_version(operator)


def _operator_image(operator: OperatorDeployment) -> str:
    return str(operator.container.get("image", "?"))


def _check_version(operator: OperatorDeployment) -> Iterator[Diagnosis]:
    """Compare the operator's version with that of this program, by its label or its image tag."""
    labels = operator.deployment["metadata"].get("labels") or {}
    tag = _operator_image(operator).rpartition("/")[2].partition("@")[0].partition(":")[2]
    version = labels.get("app.kubernetes.io/version") or tag
    if version[:1].isdigit() and version != __version__:
        said = f"the operator is version {version}, this program is {__version__}"
        yield report_warning("operator's version", said, "upgrade the older one")


def check_leader(
    context: DoctorContext, operator: OperatorDeployment | None
) -> Iterator[Diagnosis]:
    """Check that a replica holds the Lease, by the API server's clock."""
    if operator is None:
        return
    if "--no-leader-elect" in (operator.container.get("args") or ()):
        yield report_ok("leader", "leader election is disabled (--no-leader-elect)")
        return
    name = operator.option_value("lease-name", context.defaults.lease)
    namespace = operator.option_value("lease-namespace", operator.namespace)
    try:
        lease = context.server.get(LEASES, namespace, name)
    except CanaryError as error:
        yield report_unknown("leader", error, "ask somebody with the right to get leases there")
        return
    where = f"Lease {namespace}/{name}"
    logs = f"kubectl -n {operator.namespace} logs deployment/canary"
    if lease is None:
        yield report_error(
            "leader", f"there is no {where}: no replica has ever been leader", f"see {logs}"
        )
        return
    yield _check_lease(lease["spec"], where, context.date(), logs)


def _check_lease(spec: Object, where: str, now: float | None, logs: str) -> Diagnosis:
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return report_error("leader", f"no replica holds {where}", f"see {logs}")
    duration = float(spec.get("leaseDurationSeconds") or 0)
    age = None if now is None else now - datetime.fromisoformat(renewed).timestamp()
    if age is not None and age > duration + 1:
        said = f"{holder} renewed {where} {age:.0f} s ago, and it expires after {duration:.0f} s"
        return report_error("leader", f"no leader: {said}", f"see {logs}")
    when = "" if age is None else f", renewed {max(age, 0):.0f} s ago"
    return report_ok("leader", f"{holder} holds {where}{when}")
