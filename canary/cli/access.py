"""`canary access`: code that takes a database connection and may not give it back."""

import json
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from canary import __version__
from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.access.scan import Scan, Spot


WIDTH = 80
"""Of remedies; a place and its code stay in one line."""


class Output(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def access(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and directories. Default: this one."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave these out, as in .gitignore; may be repeated."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count as errors.", show_default=False)
    ] = False,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Output format: text, json or sarif.")
    ] = Output.TEXT,
) -> None:
    """Find code that may not give a database connection back.

    Python, Java, Go, JavaScript and TypeScript. What .gitignore names is left out. A comment
    `ast-grep-ignore: RULE` in the line before silences one place.

    Exit code 0: nothing found, or warnings only; 3: at least one error (with --strict: or a
    warning); 2: no such path, or no file in these languages; 1: ast-grep is missing or broke.
    """
    from canary.access.scan import scan  # noqa: PLC0415 - keeps --help quick

    found = scan(paths or [Path()], exclude or [])
    bad = any(strict or spot.finding.level == "error" for spot in found.spots)
    match output:
        case Output.TEXT:
            typer.echo("\n".join(_lines(found)))
        case Output.JSON:
            typer.echo(json.dumps(_document(found, ok=not bad), indent=2, ensure_ascii=False))
        case Output.SARIF:
            typer.echo(_sarif(found), nl=False)
    for file, why in found.skipped.items():
        typer.echo(f"canary: {file} was not looked at: {_why(why)}", err=True)
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


def _lines(found: "Scan") -> Iterator[str]:
    from canary.access.scan import rules  # noqa: PLC0415 - as above
    from canary.text.sanitize import strip_controls  # noqa: PLC0415 - as above

    for spot in found.spots:
        one = spot.finding
        yield strip_controls(
            f"{one.file}:{one.line}:{one.column}: {one.level}: {one.message} [{one.rule}]"
        )
        yield f"    {strip_controls(spot.code)}"
    hit = {spot.finding.rule for spot in found.spots}
    for rule in rules():
        if rule.id in hit:
            yield fill(f"{rule.id}: {rule.remedy}", WIDTH, initial_indent="\n")
    yield f"\n{_summary(found)}" if hit else _summary(found)


def _summary(found: "Scan") -> str:
    counts = Counter(str(spot.finding.level) for spot in found.spots)
    told = " and ".join(_count(number, name) for name, number in sorted(counts.items()))
    return f"{told or 'Nothing found'} in {_count(found.files, 'file')}."


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _why(skipped: str) -> str:
    return {"invalidUtf8": "it is not UTF-8"}.get(skipped, skipped)


def _document(found: "Scan", *, ok: bool) -> dict[str, object]:
    return {
        "schemaVersion": 1,
        "valid": ok,
        "files": found.files,
        "skipped": [{"file": file, "why": _why(why)} for file, why in found.skipped.items()],
        "findings": [_finding(spot) for spot in found.spots],
    }


def _finding(spot: "Spot") -> dict[str, object]:
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


def _sarif(found: "Scan") -> str:
    from canary.access.scan import rules  # noqa: PLC0415 - keeps --help quick
    from canary.results.sarif import sarif  # noqa: PLC0415 - as above

    told = {rule.id: rule.remedy for rule in rules()}
    return sarif([spot.finding for spot in found.spots], __version__, told)
