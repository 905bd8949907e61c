"""One thing that was looked at, how it is, and what to do."""

from dataclasses import dataclass
from enum import StrEnum

from canary.errors import CanaryError
from canary.kube.api_errors import ForbiddenError


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something should be looked at."""
    ERROR = "error"
    """Releases cannot work as they should."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `canary doctor` says about one thing."""

    check: str
    """What was looked at: `definition`, `holding`, `release prod/auth` …"""
    state: State
    sentence: str
    remedy: str = ""
    """What to do; empty where all is well."""


def fine(check: str, sentence: str) -> Diagnosis:
    """It is as it should be."""
    return Diagnosis(check, State.OK, sentence)


def doubtful(check: str, sentence: str, remedy: str) -> Diagnosis:
    """Somebody should look at it."""
    return Diagnosis(check, State.WARNING, sentence, remedy)


def wrong(check: str, sentence: str, remedy: str) -> Diagnosis:
    """Releases suffer from it."""
    return Diagnosis(check, State.ERROR, sentence, remedy)


def unseen(check: str, error: CanaryError, remedy: str) -> Diagnosis:
    """It could not be looked at; a refusal is said without the API server's many words."""
    said = str(error)
    if isinstance(error, ForbiddenError):
        said = f"{said.partition(': ')[0]}: you may not"
    return Diagnosis(check, State.WARNING, said, remedy)
