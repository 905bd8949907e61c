"""Problems in a file: where, what was expected, what was found."""

from dataclasses import dataclass

from canary.errors import UsageError
from canary.text.sanitize import escape_unprintable

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem in a file; line and column count from 1."""

    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        """`line 12, column 5: spec.steps[1].weight: …`."""
        return f"line {self.line}, column {self.column}: {self.where}: {self.message}"


class SpecError(UsageError):
    """An invalid CanaryRelease; `problems` lists everything to correct."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source} is not a valid CanaryRelease, {count}:\n{lines}")
        self.source = source
        self.problems = problems


def format_path(path: Path) -> str:
    """Format `("spec", "steps", 1, "weight")` as `spec.steps[1].weight`, no path as `file`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:  # The name of an unknown field may contain anything, such as escape sequences.
            text += f".{escape_unprintable(part)}" if text else escape_unprintable(part)
    return text or "file"
