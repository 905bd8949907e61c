"""The shell commands that README.md and docs/ show, so that tests can run them as written.

Every block that begins with ```sh is a list of commands. An HTML comment on the line before it,
which readers of the page do not see, says what the block needs beyond a cluster:

    <!-- not run: why nobody can run it as it stands -->
    <!-- needs docker -->
    <!-- needs network -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_HEADING = re.compile(r"^#+ (.+)$")
_FENCE = re.compile(r"^ *```(\w*)$")
_COMMENT = re.compile(r"^ *<!-- (?:not run: (?P<reason>.+)|needs (?P<needs>\w+)) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive commands of one page."""

    page: str
    """Path from the root of the repository."""
    line: int
    """Line of the first command, from 1."""
    heading: str
    """The section that the block stands in."""
    script: str
    reason: str | None = None
    """Why it is not run."""
    needs: str | None = None
    """A program, or `network`."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page for users and contributors."""
    top = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def read_blocks(page: Path, root: Path = ROOT) -> list[Block]:
    """The page's blocks of commands, in order."""
    return list(_parse(page.relative_to(root).as_posix(), page.read_text("utf-8").splitlines()))


def _parse(page: str, lines: list[str]) -> Iterator[Block]:
    heading, start = "", 0
    language: str | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence and language is None:
            start, language = number + 1, fence[1]
        elif fence:
            if language in {"sh", "bash", "shell"}:
                before = _COMMENT.match(lines[start - 2] if start > 1 else "")
                script = "\n".join(text.strip() for text in lines[start:number]) + "\n"
                yield Block(page, start + 1, heading, script, **_marks(before))
            language = None
        elif language is None and (found := _HEADING.match(line)):
            heading = found[1]


def _marks(comment: re.Match[str] | None) -> dict[str, str | None]:
    return comment.groupdict() if comment else {}
