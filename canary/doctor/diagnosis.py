"""The result of one check."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import Kind, Objects
from canary.metrics.prometheus import PrometheusOptions


class DoctorClient(Objects, Protocol):
    """The methods of `canary.kube.client.Client` that checks use; creates only access reviews."""

    def serves_kind(self, kind: Kind) -> bool:
        """Return whether the cluster serves this kind in this version."""
        ...

    def version(self) -> tuple[int, int]:
        """Return major and minor version of the API server."""
        ...


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """The cluster under diagnosis."""

    server: DoctorClient
    namespace: str
    """Namespace for which the caller's rights are checked."""
    scope: str
    """Namespace whose releases are checked; "" means all namespaces."""
    address: str
    """The API server's URL."""
    date: Callable[[], float | None]
    """Returns the API server's time (seconds since the epoch), or None if it sends no date."""
    defaults: "OperatorDefaults"
    prometheus: tuple[PrometheusOptions, ...] = ()
    """Empty: use the operator's Prometheus."""


@dataclass(frozen=True, slots=True)
class OperatorDefaults:
    """Default values of the operator's options."""

    lease: str
    """Name of the Lease."""
    prometheus: str
    """URL of Prometheus."""


class DiagnosisState(StrEnum):
    """Severity of a result."""

    OK = "ok"
    WARNING = "warning"
    """It works but needs attention."""
    ERROR = "error"
    """Releases do not work as intended."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check, and what to do."""

    check: str
    """Name of the check: `definition`, `holding`, `release prod/auth` …"""
    state: DiagnosisState
    sentence: str
    remedy: str = ""
    """What to do; empty if nothing is wrong."""


def report_ok(check: str, sentence: str) -> Diagnosis:
    """Return a result without a problem."""
    return Diagnosis(check, DiagnosisState.OK, sentence)


def report_warning(check: str, sentence: str, remedy: str) -> Diagnosis:
    """Return a result that needs attention."""
    return Diagnosis(check, DiagnosisState.WARNING, sentence, remedy)


def report_error(check: str, sentence: str, remedy: str) -> Diagnosis:
    """Return a result that impairs releases."""
    return Diagnosis(check, DiagnosisState.ERROR, sentence, remedy)


def report_unknown(check: str, error: CanaryError, remedy: str) -> Diagnosis:
    """Return a warning that the check failed; shortens the API server's messages."""
    said = str(error)
    if isinstance(error, ForbiddenError):
        said = f"{said.partition(': ')[0]}: forbidden"
    return Diagnosis(check, DiagnosisState.WARNING, said, remedy)
