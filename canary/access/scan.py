"""Finds code that may leak database connections, by running ast-grep with our rules.

The rules are in rules/*.yml, one file per rule, in the format of ast-grep.
"""

import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from canary.errors import CanaryError, PermanentError, UsageError, install_command
from canary.results.sarif import FindingLevel, SarifFinding

PROGRAM: Final = "ast-grep"
TIMEOUT: Final = 600.0
"""Timeout in seconds."""
SCRIPT_LANGUAGES: Final = ("TypeScript", "Tsx", "JavaScript")
"""Languages that a rule for TypeScript applies to: their syntax trees use the same names."""
LEVELS: Final = {"error": FindingLevel.ERROR, "warning": FindingLevel.WARNING}
_FILE_LINE = re.compile(
    r"^sg: entity\|file\|(?P<file>.*): (?:language=.*,appliedRuleCount=(?P<rules>\d+)"
    r"|skipped=(?P<why>\w+))$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class AccessRule:
    """A rule: its message and its remedy."""

    id: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class CodeFinding:
    """A finding and its line of code."""

    finding: SarifFinding
    code: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The findings of a scan, sorted by file and line."""

    spots: tuple[CodeFinding, ...]
    files: int
    """Number of files scanned."""
    skipped: Mapping[str, str]
    """Files that could not be read, and why."""


def load_rules() -> tuple[AccessRule, ...]:
    """Return all rules, sorted by id."""
    found = (yaml.safe_load(text) for text in _read_rule_files())
    return tuple(
        AccessRule(one["id"], one["message"], " ".join(one["note"].split())) for one in found
    )


def scan_paths(
    paths: Sequence[Path],
    exclude: Sequence[str] = (),
    timeout: float = TIMEOUT,
    programs: str = sysconfig.get_path("scripts"),
) -> ScanResult:
    """Scan the files below `paths`, except those that .gitignore or `exclude` (globs) exclude.

    `timeout` is seconds, `programs` the directory where ast-grep is looked up before the PATH.

    Raises:
        UsageError: a path does not exist, a glob is invalid, or no file is in a supported language.
        PermanentError: ast-grep is not installed.
        CanaryError: ast-grep failed, or took longer than `timeout`.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or directory")
    globs = [f"--globs=!{one}" for one in exclude]
    words = ["scan", f"--inline-rules={_join_rules()}", "--json=stream", "--inspect=entity", *globs]
    done = _run_program([*words, "--", *map(str, paths)], timeout, programs)
    applied, skipped = _parse_scanned_files(done.stderr)
    if not applied and not skipped:
        where = ", ".join(map(str, paths))
        raise UsageError(
            f"{where}: expected files in Python, Java, Go, JavaScript or TypeScript, found none"
        )
    spots = {
        spot.finding: spot for spot in _parse_findings(done.stdout)
    }  # Overlapping paths count once.
    in_order = sorted(spots.values(), key=lambda one: (one.finding.file, one.finding.line))
    return ScanResult(tuple(in_order), applied, skipped)


def _read_rule_files() -> Sequence[str]:
    folder = files(__package__) / "rules"
    found = sorted((one for one in folder.iterdir() if one.name.endswith(".yml")), key=str)
    return [one.read_text(encoding="utf-8") for one in found]


def _join_rules() -> str:
    """Return all rules as one YAML stream."""
    return "\n---\n".join(one for text in _read_rule_files() for one in _for_each_language(text))


def _for_each_language(text: str) -> Iterator[str]:
    mark = f"language: {SCRIPT_LANGUAGES[0]}\n"
    if mark not in text:
        yield text
        return
    yield from (text.replace(mark, f"language: {twin}\n", 1) for twin in SCRIPT_LANGUAGES)


def _find_program(directory: str) -> str:
    """Return the program in a directory, else from the PATH."""
    found = shutil.which(PROGRAM, path=directory) or shutil.which(PROGRAM)
    if found is None:
        raise PermanentError(f"{PROGRAM} is not installed: {install_command('access')}")
    return found


def _run_program(
    words: Sequence[str], timeout: float, programs: str
) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(  # noqa: S603 - a program of ours, without a shell
            [_find_program(programs), *words],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as slow:
        raise CanaryError(
            f"{PROGRAM} did not end within {timeout:.0f} s: name fewer paths, or use --exclude"
        ) from slow
    if done.returncode not in {0, 1} or "\nsg: summary|file" not in done.stderr:
        told = [line for line in done.stderr.splitlines() if line and not line.startswith("sg: ")]
        raise _program_error(told)
    return done


def _program_error(told: Sequence[str]) -> CanaryError:
    said = "; ".join(line.strip().removeprefix("Error: ") for line in told[:2])
    if "glob" in said.lower():
        return UsageError(f"--exclude: expected a glob as in .gitignore: {said}")
    return CanaryError(f"{PROGRAM} failed: {said or 'without a message'}")


def _parse_scanned_files(told: str) -> tuple[int, Mapping[str, str]]:
    """Return the number of files scanned, and those skipped; overlapping paths count once."""
    seen = list(_FILE_LINE.finditer(told))
    applied = {one["file"] for one in seen if one["rules"] not in {None, "0"}}
    skipped = {one["file"]: one["why"] for one in seen if one["why"] not in {None, "emptyFile"}}
    return len(applied), skipped


def _parse_findings(text: str) -> Iterator[CodeFinding]:
    try:
        yield from _read_findings(text)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise CanaryError(
            f"{PROGRAM} wrote no readable findings ({type(error).__name__})"
        ) from error


def _read_findings(text: str) -> Iterator[CodeFinding]:
    for line in text.splitlines():
        found: Mapping[str, Any] = json.loads(line)
        start = found["range"]["start"]
        finding = SarifFinding(
            file=found["file"],
            line=start["line"] + 1,
            column=start["column"] + 1,
            rule=found["ruleId"],
            message=found["message"],
            level=LEVELS[found["severity"]],
        )
        yield CodeFinding(finding, found["lines"].splitlines()[0].strip())
