"""The operator: is it there, does it run, does one of its replicas lead, is it ours?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from canary import __version__
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, unseen, wrong
from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import DEPLOYMENTS, LEASES, Object

_LABELS = {"app.kubernetes.io/name": "canary"}
_USUAL = "canary-system"
_INSTALL = "install it: docs/install.md"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator's Deployment, and what it is told."""

    deployment: Object

    @property
    def namespace(self) -> str:
        """Where it runs."""
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
        """The container that is the operator."""
        containers = self.deployment["spec"]["template"]["spec"]["containers"]
        found: Object = next((one for one in containers if _operates(one)), containers[0])
        return found

    def told(self, flag: str, default: str) -> str:
        """The value of a flag, by argument or by environment: `prometheus-url`."""
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
        """The namespaces that it looks after; one empty name means all."""
        return tuple(self.told("namespace", "").split()) or ("",)


def find(patient: Patient) -> Operator | None:
    """The operator of this cluster; where several are installed the first.

    Raises ForbiddenError when neither everywhere nor in its usual namespace may be looked.
    """
    try:
        found = patient.server.list(DEPLOYMENTS, "", _LABELS)
    except ForbiddenError:
        found = patient.server.list(DEPLOYMENTS, _USUAL, _LABELS)
    operators = [Operator(one) for one in found]
    return next((one for one in operators if _operates(one.container)), None)


def _operates(container: Object) -> bool:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return "operator" in words or container.get("name") == "operator"


def alive(operator: Operator | None) -> Iterator[Diagnosis]:
    """Its replicas, and its version."""
    if operator is None:
        said = f"no Deployment with the label {next(iter(_LABELS))}=canary runs `canary operator`"
        yield wrong("operator", said, _INSTALL)
        return
    wanted = int(operator.deployment["spec"].get("replicas", 1))
    ready = int((operator.deployment.get("status") or {}).get("readyReplicas", 0))
    said = f"{operator.name} has {ready} of {wanted} replicas ready, image {_image(operator)}"
    see = f"kubectl -n {operator.namespace} describe deployment; and the pods' logs"
    if ready == 0:
        yield wrong("operator", said, f"see {see}")
    elif ready < wanted:
        yield doubtful("operator", said, f"see {see}")
    else:
        yield fine("operator", said)
    yield from _version(operator)


def _image(operator: Operator) -> str:
    return str(operator.container.get("image", "?"))


def _version(operator: Operator) -> Iterator[Diagnosis]:
    """By the label that Helm sets, or by a tag that looks like a version."""
    labels = operator.deployment["metadata"].get("labels") or {}
    tag = _image(operator).rpartition("/")[2].partition("@")[0].partition(":")[2]
    version = labels.get("app.kubernetes.io/version") or tag
    if version[:1].isdigit() and version != __version__:
        said = f"the operator is version {version}, this program is {__version__}"
        yield doubtful("operator's version", said, "upgrade the older one of the two")


def leading(patient: Patient, operator: Operator | None) -> Iterator[Diagnosis]:
    """Whether one of its replicas holds the Lease, by the API server's own clock."""
    if operator is None:
        return
    if "--no-leader-elect" in (operator.container.get("args") or ()):
        yield fine("leader", "the only replica leads, as it is told (--no-leader-elect)")
        return
    name = operator.told("lease-name", patient.usual.lease)
    namespace = operator.told("lease-namespace", operator.namespace)
    try:
        lease = patient.server.get(LEASES, namespace, name)
    except CanaryError as error:
        yield unseen("leader", error, "ask somebody who may get leases there")
        return
    where = f"Lease {namespace}/{name}"
    logs = f"kubectl -n {operator.namespace} logs deployment/canary"
    if lease is None:
        yield wrong("leader", f"there is no {where}: no replica has ever led", f"see {logs}")
        return
    yield _renewed(lease["spec"], where, patient.date(), logs)


def _renewed(spec: Object, where: str, now: float | None, logs: str) -> Diagnosis:
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return wrong("leader", f"nobody holds {where}", f"see {logs}")
    duration = float(spec.get("leaseDurationSeconds") or 0)
    age = None if now is None else now - datetime.fromisoformat(renewed).timestamp()
    if age is not None and age > duration + 1:
        said = f"{holder} renewed {where} {age:.0f} s ago and it is good for {duration:.0f} s"
        return wrong("leader", f"nobody leads: {said}", f"see {logs}")
    when = "" if age is None else f", renewed {max(age, 0):.0f} s ago"
    return fine("leader", f"{holder} holds {where}{when}")
