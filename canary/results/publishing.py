"""Prints a result and writes its artifacts."""

import os
import stat
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Final, TextIO

from canary.errors import ExitCode, UsageError
from canary.results.annotations import render_github, render_gitlab
from canary.results.gate_result import GateResult
from canary.results.json_document import render_json
from canary.results.junit import render_junit
from canary.results.markdown import render_markdown, truncate_markdown
from canary.text.sanitize import make_one_line, sanitize_output

STEP_LIMIT: Final = 1 << 20
"""Maximum size in bytes of GitHub's summary of one step. A longer one is not displayed at all."""
_UNWRAPPED: Final = ("canary ", "kubectl ", "https://", "http://", "check which series exist: ")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Which artifacts to write, and where."""

    as_json: bool = False
    """Print one JSON document instead of text for people."""
    junit: Path | None = None
    summary: Path | None = None
    gitlab: Path | None = None
    step_summary: Path | None = None
    """Appended to, because other commands of the step write there too."""
    annotate: bool = False
    """Print GitHub's workflow commands."""

    def check(self) -> None:
        """Create missing directories. Raises UsageError if a file cannot be written.

        Called before the command runs, so that an hour of waiting is not lost.
        """
        for option, path in (
            ("--junit", self.junit),
            ("--summary", self.summary),
            ("--gitlab", self.gitlab),
        ):
            if path is not None:
                _check_writable(option, path)


def publish(outcome: GateResult, artifacts: Artifacts, stream: TextIO) -> ExitCode:
    """Write the files, then the result to the stream; return the exit code.

    That is the exit code of the result, or ERROR if it passed and a file could not be written.
    """
    complete = _write_files(
        outcome, artifacts
    )  # First, because the reader of the stream may close it.
    columns = get_terminal_size().columns if stream.isatty() else None
    content = render_json(outcome) if artifacts.as_json else render_text(outcome, columns)
    stream.write(sanitize_output(content) + "\n")
    # GitHub's runner reads both streams; a JSON document must stay one.
    _print_annotations(outcome, artifacts, sys.stderr if artifacts.as_json else stream)
    stream.flush()
    return ExitCode.ERROR if outcome.passed and not complete else outcome.code


def write_artifacts(outcome: GateResult, artifacts: Artifacts) -> None:
    """Write files and annotations only, for an error that is printed elsewhere."""
    _write_files(outcome, artifacts)
    _print_annotations(outcome, artifacts, sys.stderr)


def _write_files(outcome: GateResult, artifacts: Artifacts) -> bool:
    """Write the files; print which failed, and return whether all succeeded."""
    lost = [line for line in _write_each(outcome, artifacts) if line]
    sys.stderr.writelines(sanitize_output(f"canary: {line}\n") for line in lost)
    return not lost


def _print_annotations(outcome: GateResult, artifacts: Artifacts, stream: TextIO) -> None:
    if artifacts.annotate:
        stream.write(render_github(outcome) + "\n")
        stream.flush()


def render_text(outcome: GateResult, columns: int | None = None) -> str:
    """Return the result for people: the headline, a line per case, next steps.

    With `columns` lines are wrapped between words; commands and links to paste are not.
    """
    width = max((len(case.name) for case in outcome.cases), default=0)
    parts = [("", f"{make_one_line(outcome.subject)}: {make_one_line(outcome.headline)}")]
    parts += [
        (
            f"  {case.verdict:<11} {make_one_line(case.name):<{width}}  ",
            make_one_line(case.sentence),
        )
        for case in outcome.cases
    ]
    parts += [("  → ", make_one_line(step)) for step in outcome.next_steps]
    return "\n".join(_fold_line(start, said, columns) for start, said in parts)


def _fold_line(start: str, said: str, columns: int | None) -> str:
    """Return one line, or several indented ones if the terminal is too narrow."""
    whole = f"{start}{said}".rstrip()
    pasted = start.endswith("→ ") and said.startswith(_UNWRAPPED)
    if columns is None or len(whole) <= columns or pasted:
        return whole
    indent = min(len(start) or 2, columns // 2)
    room = max(columns - indent, 20)
    first, *_ = _wrap_text(said, max(columns - len(start), 20))
    rest = _wrap_text(said[len(first) :].strip(), room)
    return "\n".join([f"{start}{first}", *(" " * indent + line for line in rest)])


def _wrap_text(said: str, room: int) -> list[str]:
    return textwrap.wrap(said, room, break_long_words=False, break_on_hyphens=False)


def _write_each(outcome: GateResult, artifacts: Artifacts) -> Iterator[str | None]:
    """Write each file; yield a message for each that could not be written."""
    for path, form in (
        (artifacts.junit, render_junit),
        (artifacts.summary, render_markdown),
        (artifacts.gitlab, render_gitlab),
    ):
        if path is not None:
            yield _try_write(path, form(outcome))
    if artifacts.step_summary is not None:
        _append_summary(artifacts.step_summary, render_markdown(outcome))


def _try_write(path: Path, content: str) -> str | None:
    try:
        write_atomically(path, content)
    except OSError as error:
        return f"cannot write {path}: {error.strerror or error}"
    return None


def write_atomically(path: Path, content: str) -> None:
    """Write a file so that readers never see an incomplete one. Raises OSError.

    Special files (a pipe, /dev/stdout) are written directly.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        path.write_text(content, encoding="utf-8")
        return
    target = path.resolve()  # Keep a symbolic link, and replace the file that it points to.
    half = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        half.write_text(content, encoding="utf-8")
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


def _append_summary(path: Path, content: str) -> None:
    """Append to the step summary; a failure to do so must not fail the command."""
    with suppress(OSError):
        before = path.stat().st_size if path.exists() else 0
        room = STEP_LIMIT - before - 1
        with path.open("a", encoding="utf-8") as opened:
            opened.write(("\n" if before else "") + truncate_markdown(content, room))


def _check_writable(option: str, path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{option}: expected a file, found a directory: {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option}: cannot create {path.parent}: {error.strerror}") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{option}: cannot write {path}: permission denied")
