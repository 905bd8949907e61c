"""The result of a command, from which all artifacts are rendered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.api import Verdict
from canary.errors import ExitCode

Fact = str | int | float | bool | None | list["Fact"] | dict[str, "Fact"]
"""Whatever JSON can hold; no NaN and no infinity."""


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
    """The result of a command that judges something."""

    command: str
    """`gate`, `analyze`, `loadtest` …"""
    subject: str
    """What the command judged: `prod/auth`, a URL, a file."""
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
    """The file in the repository that an annotation belongs to, relative to its root; if any."""

    @property
    def passed(self) -> bool:
        """Whether a pipeline may continue."""
        return self.code is ExitCode.OK
