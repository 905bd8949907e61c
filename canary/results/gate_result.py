"""The result of a command, from which all artifacts are rendered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.api import Verdict
from canary.errors import ExitCode

Fact = str | int | float | bool | None | list["Fact"] | dict[str, "Fact"]
"""Values that JSON can represent, without NaN and infinity."""


@dataclass(frozen=True, slots=True)
class ResultCase:
    """The result of one metric, threshold or check; one test case in JUnit."""

    name: str
    verdict: Verdict
    sentence: str
    """A sentence for people: values with units, compared with their limits."""
    seconds: float = 0.0
    """Seconds until the verdict."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """The figures behind the sentence, for machines."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a command with a verdict."""

    command: str
    """`gate`, `analyze`, `loadtest` …"""
    subject: str
    """The subject of the command: `prod/auth`, a URL, a file."""
    code: ExitCode
    headline: str
    """One sentence: the result and its cause."""
    cases: tuple[ResultCase, ...] = ()
    seconds: float = 0.0
    """Seconds that the command ran."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Figures for machines: reason, weights, rate …"""
    next_steps: tuple[str, ...] = ()
    """Commands to paste and links to runbooks."""
    file: str = ""
    """File that annotations belong to, relative to the root of the repository; empty: none."""

    @property
    def passed(self) -> bool:
        """Whether a pipeline may continue."""
        return self.code is ExitCode.OK
