"""Diagnoses a cluster: what is missing, forbidden, late or stuck, with remedies."""

from collections.abc import Iterator

from canary.doctor.definition import check_api_server, check_definition
from canary.doctor.diagnosis import (
    Diagnosis,
    DiagnosisState,
    DoctorClient,
    DoctorContext,
    OperatorDefaults,
    report_unknown,
)
from canary.doctor.monitoring import check_prometheus
from canary.doctor.operators import check_leader, check_operator, find_operator
from canary.doctor.pause_mode import check_pause_mode
from canary.doctor.releases import check_releases, find_orphans
from canary.doctor.rights import check_operator_rights, check_own_rights
from canary.doctor.routers import check_routers, check_routes_accepted
from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES

__all__ = [
    "Diagnosis",
    "DiagnosisState",
    "DoctorClient",
    "DoctorContext",
    "OperatorDefaults",
    "examine",
]


def diagnose_cluster(context: DoctorContext) -> Iterator[Diagnosis]:
    """Run all checks, most basic ones first.

    Raises CanaryError if the API server does not respond.
    """
    yield from check_api_server(context)
    yield from check_definition(context)
    yield from check_own_rights(context)
    operator = None
    try:
        operator = find_operator(context)
        yield from check_operator(operator)
    except ForbiddenError as error:
        yield report_unknown(
            "operator", error, "ask somebody with the right to list deployments there"
        )
    yield from check_leader(context, operator)
    if operator is not None:
        yield from check_operator_rights(context, operator)
    releases, listed = [], True
    try:
        releases = context.server.list(RELEASES, context.scope, {})
    except CanaryError as error:
        listed = False
        yield report_unknown(
            "releases", error, "use -n with a namespace whose releases you may list"
        )
    yield from check_pause_mode(context, operator, releases)
    yield from check_routers(context)
    yield from check_prometheus(context, operator)
    if listed:
        yield from check_releases(context, releases)
        yield from check_routes_accepted(context, releases)
        yield from find_orphans(context, releases)
