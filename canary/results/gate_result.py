"""What a gate found, in the one shape that every artefact is written from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.api import Verdict
from canary.errors import ExitCode

Fact = str | int | float | bool | None | list["Fact"] | dict[str, "Fact"]
"""Whatever JSON can hold; no NaN and no infinity."""


@dataclass(frozen=True, slots=True)
class ResultCase:
    """One thing that was judged: a metric, a threshold, a check. One test case in JUnit."""

    name: str
    verdict: Verdict
    sentence: str
    """What was found, for people: values with units, compared with what was asked."""
    seconds: float = 0.0
    """How long it took to know."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """The figures behind the sentence, for machines."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """How a gate ended."""

    command: str
    """`gate`, `analyze`, `loadtest` …"""
    subject: str
    """What was judged: `prod/auth`, a URL, a file."""
    code: ExitCode
    headline: str
    """One sentence: how it ended and why."""
    cases: tuple[ResultCase, ...] = ()
    seconds: float = 0.0
    """How long the gate ran."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What is true of the whole, for machines: reason, weights, rate …"""
    next_steps: tuple[str, ...] = ()
    """What to do now: commands to paste, a runbook's link."""
    file: str = ""
    """The file in the repository that an annotation belongs to, relative to its root; if any."""

    @property
    def passed(self) -> bool:
        """Whether a pipeline may go on."""
        return self.code is ExitCode.OK
