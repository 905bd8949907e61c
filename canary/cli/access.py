"""`canary access`: finds code that may leak database connections."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from canary import __version__
from canary.cli.options import FindingsFormat, FindingsOutput, Strict
from canary.errors import ExitCode
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.access.scan import CodeFinding, ScanResult


REMEDY_WIDTH = 80
"""Columns of a remedy; a location and its code stay on one line."""


Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH", help="Files and directories to scan. Default: the current directory."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB", help="Exclude paths that match, as in .gitignore. Can be repeated."
    ),
]


def access(
    paths: Paths = None,
    exclude: Exclude = None,
    strict: Strict = False,
    output: FindingsOutput = FindingsFormat.TEXT,
) -> None:
    """Find code that may leak database connections.

    Scans Python, Java, Go, JavaScript and TypeScript; files in .gitignore are skipped. A comment
    `ast-grep-ignore: RULE` on the line before suppresses one finding.

    Exit code 0: no finding, or warnings only; 3: at least one error (with --strict: or a warning);
    2: no such path, or no file in these languages; 1: ast-grep is missing or failed.
    """
    from canary.access.scan import scan_paths  # noqa: PLC0415 - keeps --help quick

    found = scan_paths(paths or [Path()], exclude or [])
    bad = any(strict or spot.finding.level == "error" for spot in found.spots)
    match output:
        case FindingsFormat.TEXT:
            echo("\n".join(_render_text(found)))
        case FindingsFormat.JSON:
            echo(json.dumps(_build_document(found, ok=not bad), indent=2, ensure_ascii=False))
        case FindingsFormat.SARIF:
            echo(_render_sarif(found), nl=False)
    for file, why in found.skipped.items():
        echo(f"canary: skipped {file}: {_describe_skip(why)}", err=True)
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


def _render_text(found: "ScanResult") -> Iterator[str]:
    from canary.access.scan import load_rules  # noqa: PLC0415 - as above
    from canary.text.sanitize import strip_controls  # noqa: PLC0415 - as above

    for spot in found.spots:
        one = spot.finding
        yield strip_controls(
            f"{one.file}:{one.line}:{one.column}: {one.level}: {one.message} [{one.rule}]"
        )
        yield f"    {strip_controls(spot.code)}"
    hit = {spot.finding.rule for spot in found.spots}
    for rule in load_rules():
        if rule.id in hit:
            yield fill(f"{rule.id}: {rule.remedy}", REMEDY_WIDTH, initial_indent="\n")
    yield f"\n{_format_summary(found)}" if hit else _format_summary(found)


def _format_summary(found: "ScanResult") -> str:
    counts = Counter(str(spot.finding.level) for spot in found.spots)
    told = " and ".join(_pluralize(number, name) for name, number in sorted(counts.items()))
    return f"{told or 'Nothing found'} in {_pluralize(found.files, 'file')}."


def _pluralize(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _describe_skip(skipped: str) -> str:
    return {"invalidUtf8": "it is not UTF-8"}.get(skipped, skipped)


def _build_document(found: "ScanResult", *, ok: bool) -> dict[str, object]:
    return {
        "schemaVersion": 1,
        "valid": ok,
        "files": found.files,
        "skipped": [
            {"file": file, "why": _describe_skip(why)} for file, why in found.skipped.items()
        ],
        "findings": [_finding_to_json(spot) for spot in found.spots],
    }


def _finding_to_json(spot: "CodeFinding") -> dict[str, object]:
    one = spot.finding
    return {
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "level": str(one.level),
        "rule": one.rule,
        "message": one.message,
        "code": spot.code,
    }


def _render_sarif(found: "ScanResult") -> str:
    from canary.access.scan import load_rules  # noqa: PLC0415 - keeps --help quick
    from canary.results.sarif import render_sarif  # noqa: PLC0415 - as above

    told = {rule.id: rule.remedy for rule in load_rules()}
    return render_sarif([spot.finding for spot in found.spots], __version__, told)
