"""Who may do what: the verbs of the roles in rbac.yaml (a copy of manifests/operator/rbac.yaml)."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, wrong
from canary.doctor.operators import Operator
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES, Kind

_GROUP = "authorization.k8s.io"
OWN = Kind(_GROUP, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
OTHERS = Kind(_GROUP, "v1", "subjectaccessreviews", "SubjectAccessReview")
_AT_ONCE = 8
_LOOKING = {"get", "list"}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource."""

    group: str
    resource: str
    """`deployments`, `pods/log`."""
    verb: str
    name: str = ""
    """Of the one object that is meant; empty: any."""

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where}{f' {self.name}' if self.name else ''}"


@cache
def rights_of(role: str) -> tuple[Right, ...]:
    """What a role of rbac.yaml grants: `canary`, `canary-hold-mode` and so on."""
    found = [
        one
        for one in _roles()
        if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] == role
    ]
    return tuple(sorted({right for one in found for rule in one["rules"] for right in _in(rule)}))


@cache
def _roles() -> tuple[dict[str, Any], ...]:
    text = files(__package__).joinpath("rbac.yaml").read_text("utf-8")
    return tuple(yaml.safe_load_all(text))


def _in(rule: dict[str, list[str]]) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or [""]:
                    yield Right(group, resource, verb, name)


def operators_rights(patient: Patient, operator: Operator) -> Iterator[Diagnosis]:
    """Whether the operator's account may do everything that it does."""
    wanted = [(right, scope) for right in rights_of("canary") for scope in operator.scopes]
    wanted += [(right, "") for right in rights_of("canary-hold-mode")]
    wanted += [(right, operator.namespace) for right in rights_of("canary-lease")]
    try:
        missing = list(_refused(patient, wanted, operator.account))
    except ForbiddenError:
        said = f"whether {operator.account} may do what it needs cannot be seen from this account"
        remedy = "ask somebody who may create subjectaccessreviews, or run doctor as cluster-admin"
        yield doubtful("operator's rights", said, remedy)
        return
    if missing:
        said = f"{operator.account} may not {_listed(missing)}"
        yield wrong("operator's rights", said, "apply manifests/operator/rbac.yaml, or the chart")
    else:
        said = f"{operator.account} has all {len(wanted)} rights that it uses"
        yield fine("operator's rights", said)


def own_rights(patient: Patient) -> Iterator[Diagnosis]:
    """Whether the person may look at releases, and act on them."""
    where = patient.namespace
    look = _lacking(patient, rights_of("canary-view"))
    act = _lacking(patient, [one for one in rights_of("canary-edit") if one.verb == "patch"])
    around = _lacking(patient, [one for one in rights_of("canary") if _is_look(one)])
    remedy = f"bind the role view or edit to yourself in namespace {where}"
    if look:
        yield wrong("your rights", f"you may not {_listed(look)} in namespace {where}", remedy)
    elif act:
        said = f"you may look at releases in namespace {where}, but not promote, abort or retry"
        yield doubtful("your rights", said, f"bind the role edit to yourself in namespace {where}")
    elif around:
        said = f"init and lint --cluster may not {_listed(around)} in namespace {where}"
        yield doubtful("your rights", said, remedy)
    else:
        yield fine("your rights", f"you may look at releases in namespace {where} and act on them")


def _is_look(right: Right) -> bool:
    return right.verb in _LOOKING and right.group != RELEASES.group


def _lacking(patient: Patient, rights: Iterable[Right]) -> list[Right]:
    return list(_refused(patient, [(right, patient.namespace) for right in rights], None))


def _refused(
    patient: Patient, wanted: Sequence[tuple[Right, str]], account: str | None
) -> Iterator[Right]:
    """Those that are not granted. Raises ForbiddenError when the server does not say."""

    def allowed(one: tuple[Right, str]) -> bool:
        return may(patient, one[0], one[1], account)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rights") as pool:
        for (right, _), granted in zip(wanted, pool.map(allowed, wanted), strict=True):
            if not granted:
                yield right


def may(patient: Patient, right: Right, namespace: str, account: str | None) -> bool:
    """Whether the account (None: the person's own) may do that; namespace "" means everywhere."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
        "namespace": namespace,
    }
    spec: dict[str, Any] = {"resourceAttributes": attributes}
    if account is not None:
        spec |= {"user": account, "groups": _groups(account)}
    kind = OWN if account is None else OTHERS
    answer = patient.server.create(kind, "", {"spec": spec})
    return bool((answer.get("status") or {}).get("allowed"))


def _groups(account: str) -> list[str]:
    """Of a service account, `system:serviceaccount:NAMESPACE:NAME`."""
    parts = account.split(":")
    own = ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}"]
    return ["system:authenticated", *(own if account.startswith("system:serviceaccount:") else [])]


def _listed(rights: Sequence[Right]) -> str:
    """`get, list pods; patch deployments.apps`."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verb, _, what = str(right).partition(" ")
        if verb not in verbs.setdefault(what, []):
            verbs[what].append(verb)
    return "; ".join(f"{', '.join(found)} {what}" for what, found in verbs.items())
