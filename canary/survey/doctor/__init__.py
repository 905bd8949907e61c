"""Examines a cluster: what is missing, forbidden, late or stuck, each with its remedy."""

from collections.abc import Iterator

from canary.errors import CanaryError
from canary.kube.failures import ForbiddenError
from canary.kube.objects import RELEASES
from canary.survey.doctor.definition import cluster, definition
from canary.survey.doctor.diagnosis import Diagnosis, State, unseen
from canary.survey.doctor.holding import holding
from canary.survey.doctor.monitoring import prometheus
from canary.survey.doctor.operators import alive, find, leading
from canary.survey.doctor.patient import Patient, Server, Usual
from canary.survey.doctor.releases import orphans, stuck
from canary.survey.doctor.rights import operators_rights, own_rights
from canary.survey.doctor.routers import routers, unlistened

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
