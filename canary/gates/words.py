"""The few words and marks that all artefacts share. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.gates.outcome import Case, Fact, Outcome

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

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """The text with U+FFFD for what XML 1.0 forbids and what a terminal would act upon.

    Line breaks and tabs stay.
    """
    return _UNPRINTABLE.sub(lambda found: _kept(found.group()), text)


def _kept(character: str) -> str:
    return character if character in "\t\n\r" else "\N{REPLACEMENT CHARACTER}"


def one_line(text: str) -> str:
    """The text in one printable line: whatever other programs said may come in between.

    `##[` begins a command for GitHub's runner wherever it stands in a line, so it is broken up.
    """
    return printable(" ".join(text.split())).replace("##[", "## [")


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
            return one_line(str(fact))


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
