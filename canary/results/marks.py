"""Names and formats that all artifacts share. Pure."""

import math
from collections.abc import Mapping
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.text.sanitize import make_one_line

RESULT_NAMES: Final[Mapping[ExitCode, str]] = {
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
"""Name of each exit code, for JSON and reports."""

UNKNOWN_VERDICTS: Final = {Verdict.NO_DATA, Verdict.UNAVAILABLE}
"""Verdicts about missing data, not about the version."""


def format_fact(fact: Fact) -> str:
    """Return a fact as text for people."""
    match fact:
        case None:
            return "–"
        case bool():
            return "yes" if fact else "no"
        case float():
            return f"{fact:.6g}"
        case list():
            return ", ".join(format_fact(one) for one in fact)
        case dict():
            return ", ".join(f"{name}: {format_fact(one)}" for name, one in fact.items())
        case _:
            return make_one_line(str(fact))


def replace_non_finite(fact: Fact) -> Fact:
    """Return the fact with None in place of NaN and infinity, which JSON cannot hold."""
    match fact:
        case float():
            return fact if math.isfinite(fact) else None
        case list():
            return [replace_non_finite(one) for one in fact]
        case dict():
            return {str(name): replace_non_finite(one) for name, one in fact.items()}
        case _:
            return fact


def failing_cases(outcome: GateResult) -> tuple[ResultCase, ...]:
    """Return the cases that failed or have no data; none if the result passed."""
    if outcome.passed:
        return ()
    return tuple(
        case
        for case in outcome.cases
        if case.verdict is Verdict.FAIL or case.verdict in UNKNOWN_VERDICTS
    )
