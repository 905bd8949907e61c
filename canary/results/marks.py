"""The few words and marks that all artefacts share. Pure."""

import math
from collections.abc import Mapping
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Case, Fact, Outcome
from canary.text.sanitize import make_one_line

RESULTS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "Passed",
    ExitCode.ERROR: "Error",
    ExitCode.USAGE: "Refused",
    ExitCode.FAILED: "Failed",
    ExitCode.TIMED_OUT: "TimedOut",
    ExitCode.PAUSED: "Paused",
    ExitCode.INCONCLUSIVE: "Inconclusive",
    ExitCode.NOT_FOUND: "NotFound",
    ExitCode.INTERRUPTED: "Interrupted",
}
"""One constant for each exit code, for machines that read documents rather than codes."""

UNKNOWN: Final = {Verdict.NO_DATA, Verdict.UNAVAILABLE}
"""Verdicts that say something about the monitoring, not about what was judged."""


def shown(fact: Fact) -> str:
    """A fact for people."""
    match fact:
        case None:
            return "–"
        case bool():
            return "yes" if fact else "no"
        case float():
            return f"{fact:.6g}"
        case list():
            return ", ".join(shown(one) for one in fact)
        case dict():
            return ", ".join(f"{name}: {shown(one)}" for name, one in fact.items())
        case _:
            return make_one_line(str(fact))


def finite(fact: Fact) -> Fact:
    """The fact as JSON can hold it: null for NaN and infinities."""
    match fact:
        case float():
            return fact if math.isfinite(fact) else None
        case list():
            return [finite(one) for one in fact]
        case dict():
            return {str(name): finite(one) for name, one in fact.items()}
        case _:
            return fact


def faults(outcome: Outcome) -> tuple[Case, ...]:
    """The cases that keep a pipeline from going on: failed, or not to be judged."""
    if outcome.passed:
        return ()
    return tuple(
        case for case in outcome.cases if case.verdict is Verdict.FAIL or case.verdict in UNKNOWN
    )
