"""Checks the rights of operator and caller against the roles in rbac.yaml.

The file is a copy of manifests/operator/rbac.yaml.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_warning,
)
from canary.doctor.operators import OperatorDeployment
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES, Kind

_GROUP = "authorization.k8s.io"
SELF_REVIEWS = Kind(_GROUP, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
SUBJECT_REVIEWS = Kind(_GROUP, "v1", "subjectaccessreviews", "SubjectAccessReview")
_AT_ONCE = 8
_READ_VERBS = {"get", "list"}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource."""

    group: str
    resource: str
    """`deployments`, `pods/log`."""
    verb: str
    name: str = ""
    """Name of one object; empty: any object."""

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where}{f' {self.name}' if self.name else ''}"


@cache
def role_rights(role: str) -> tuple[Right, ...]:
    """Return the rights that a role of rbac.yaml grants, such as `canary-hold-mode`."""
    found = [
        one
        for one in _load_roles()
        if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] == role
    ]
    return tuple(
        sorted({right for one in found for rule in one["rules"] for right in _rule_rights(rule)})
    )


@cache
def _load_roles() -> tuple[dict[str, Any], ...]:
    text = files(__package__).joinpath("rbac.yaml").read_text("utf-8")
    return tuple(yaml.safe_load_all(text))


def _rule_rights(rule: dict[str, list[str]]) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or [""]:
                    yield Right(group, resource, verb, name)


def check_operator_rights(
    context: DoctorContext, operator: OperatorDeployment
) -> Iterator[Diagnosis]:
    """Check that the operator's account has all rights that the operator uses."""
    wanted = [(right, scope) for right in role_rights("canary") for scope in operator.scopes]
    wanted += [(right, "") for right in role_rights("canary-hold-mode")]
    wanted += [(right, operator.namespace) for right in role_rights("canary-lease")]
    try:
        missing = list(_find_refused(context, wanted, operator.account))
    except ForbiddenError:
        said = f"this account may not check the rights of {operator.account}"
        remedy = "run doctor as cluster-admin, or with the right to create subjectaccessreviews"
        yield report_warning("operator's rights", said, remedy)
        return
    if missing:
        said = f"{operator.account} may not {_format_rights(missing)}"
        yield report_error(
            "operator's rights", said, "apply manifests/operator/rbac.yaml, or the chart"
        )
    else:
        said = f"{operator.account} has all {len(wanted)} rights that it uses"
        yield report_ok("operator's rights", said)


def check_own_rights(context: DoctorContext) -> Iterator[Diagnosis]:
    """Check that the caller may read releases and send commands."""
    where = context.namespace
    look = _missing_rights(context, role_rights("canary-view"))
    act = _missing_rights(
        context, [one for one in role_rights("canary-edit") if one.verb == "patch"]
    )
    around = _missing_rights(context, [one for one in role_rights("canary") if _is_read(one)])
    remedy = f"bind the role view or edit to yourself in namespace {where}"
    if look:
        yield report_error(
            "your rights", f"you may not {_format_rights(look)} in namespace {where}", remedy
        )
    elif act:
        said = f"you may read releases in namespace {where}, but not promote, abort or retry"
        yield report_warning(
            "your rights", said, f"bind the role edit to yourself in namespace {where}"
        )
    elif around:
        said = f"init and lint --cluster may not {_format_rights(around)} in namespace {where}"
        yield report_warning("your rights", said, remedy)
    else:
        yield report_ok(
            "your rights", f"you may read releases in namespace {where} and send commands"
        )


def _is_read(right: Right) -> bool:
    return right.verb in _READ_VERBS and right.group != RELEASES.group


def _missing_rights(context: DoctorContext, rights: Iterable[Right]) -> list[Right]:
    return list(_find_refused(context, [(right, context.namespace) for right in rights], None))


def _find_refused(
    context: DoctorContext, wanted: Sequence[tuple[Right, str]], account: str | None
) -> Iterator[Right]:
    """Yield rights that are not granted. Raises ForbiddenError if reviews are forbidden."""

    def allowed(one: tuple[Right, str]) -> bool:
        return is_allowed(context, one[0], one[1], account)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rights") as pool:
        for (right, _), granted in zip(wanted, pool.map(allowed, wanted), strict=True):
            if not granted:
                yield right


def is_allowed(context: DoctorContext, right: Right, namespace: str, account: str | None) -> bool:
    """Return whether the account (None: the caller) has the right; namespace "" means all."""
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
        spec |= {"user": account, "groups": _account_groups(account)}
    kind = SELF_REVIEWS if account is None else SUBJECT_REVIEWS
    answer = context.server.create(kind, "", {"spec": spec})
    return bool((answer.get("status") or {}).get("allowed"))


def _account_groups(account: str) -> list[str]:
    """Return the groups of an account; `system:serviceaccount:NAMESPACE:NAME` has some more."""
    parts = account.split(":")
    own = ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}"]
    return ["system:authenticated", *(own if account.startswith("system:serviceaccount:") else [])]


def _format_rights(rights: Sequence[Right]) -> str:
    """Format rights as `get, list pods; patch deployments.apps`."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verb, _, what = str(right).partition(" ")
        if verb not in verbs.setdefault(what, []):
            verbs[what].append(verb)
    return "; ".join(f"{', '.join(found)} {what}" for what, found in verbs.items())
