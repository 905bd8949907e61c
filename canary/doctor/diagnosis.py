"""The result of one check."""

from dataclasses import dataclass
from enum import StrEnum

from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError


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
