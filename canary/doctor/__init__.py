"""Examines a cluster: what is missing, forbidden, late or stuck, each with its remedy."""

from collections.abc import Iterator

from canary.doctor.context import Patient, Server, Usual
from canary.doctor.definition import cluster, definition
from canary.doctor.diagnosis import Diagnosis, State, unseen
from canary.doctor.monitoring import prometheus
from canary.doctor.operators import alive, find, leading
from canary.doctor.pause_mode import holding
from canary.doctor.releases import orphans, stuck
from canary.doctor.rights import operators_rights, own_rights
from canary.doctor.routers import routers, unlistened
from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES

__all__ = ["Diagnosis", "Patient", "Server", "State", "Usual", "examine"]


def examine(patient: Patient) -> Iterator[Diagnosis]:
    """Everything, in the order in which one would look for a fault.

    Raises CanaryError when the API server cannot be asked at all.
    """
    yield from cluster(patient)
    yield from definition(patient)
    yield from own_rights(patient)
    operator = None
    try:
        operator = find(patient)
        yield from alive(operator)
    except ForbiddenError as error:
        yield unseen("operator", error, "ask somebody who may list deployments there")
    yield from leading(patient, operator)
    if operator is not None:
        yield from operators_rights(patient, operator)
    releases, listed = [], True
    try:
        releases = patient.server.list(RELEASES, patient.scope, {})
    except CanaryError as error:
        listed = False
        yield unseen("releases", error, "give -n a namespace in which you may look")
    yield from holding(patient, operator, releases)
    yield from routers(patient)
    yield from prometheus(patient, operator)
    if listed:
        yield from stuck(patient, releases)
        yield from unlistened(patient, releases)
        yield from orphans(patient, releases)
