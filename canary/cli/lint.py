"""`canary lint`: everything that is wrong with CanaryRelease files, before a cluster sees them."""

import json
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.api import CanaryRelease, Loaded
    from canary.api import Path as FieldPath


class Output(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"


def lint(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="YAML files; - is standard input.")
    ],
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Lines for people, or one JSON object.")
    ] = Output.TEXT,
) -> None:
    """Check CanaryRelease files: all problems at once.

    Each problem comes with line and column, and with what is allowed there.

    Exit code 0: all are valid; 2: at least one is not.
    """
    results = [_load(file) for file in files]
    valid = not any(loaded.problems for loaded in results)
    if output is Output.JSON:
        findings = [_as_json(loaded) for loaded in results]
        typer.echo(json.dumps({"version": 1, "valid": valid, "files": findings}, indent=2))
    else:
        for loaded in results:
            typer.echo("\n".join(_lines(loaded)))
    raise typer.Exit(ExitCode.OK if valid else ExitCode.USAGE)


def _load(file: str) -> "Loaded":
    from canary.api import Loaded, Problem, load_releases  # noqa: PLC0415 - keeps --help quick

    name = "stdin" if file == "-" else file
    try:
        content = _content(file)
    except OSError as error:
        found = error.strerror or "an error"
        unreadable = Problem(1, 1, "file", f"a readable file is expected, found: {found}")
        return Loaded(name, (), (), (unreadable,))
    return load_releases(content, name, rules=(unknown_presets,))


def _content(file: str) -> bytes:
    """The file, as far as it can be valid: one byte more than is allowed tells that it is not."""
    from canary.api.documents import MAX_BYTES  # noqa: PLC0415 - keeps --help quick

    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def unknown_presets(release: "CanaryRelease") -> Iterator[tuple["FieldPath", str]]:
    """Preset names that no preset has: where, and which there are."""
    from canary.api import unknown  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.presets import POOLS, RATIOS  # noqa: PLC0415 - keeps --help quick

    known = {"ratio": [row.name for row in RATIOS], "pool": [row.name for row in POOLS]}
    for index, metric in enumerate(release.spec.analysis.metrics):
        source = metric.ratio or metric.pool
        name = source.preset if source else None
        if name is not None and name not in known[metric.kind]:
            path = ("spec", "analysis", "metrics", index, metric.kind, "preset")
            yield path, unknown(f"{metric.kind} preset", name, known[metric.kind])


def _lines(loaded: "Loaded") -> Sequence[str]:
    return (
        *(f"{loaded.source}: {release.metadata.name}: valid" for release in loaded.releases),
        *(f"{loaded.source}: {other}: skipped" for other in loaded.others),
        *(
            f"{loaded.source}:{problem.line}:{problem.column}: {problem.where}: {problem.message}"
            for problem in loaded.problems
        ),
    )


def _as_json(loaded: "Loaded") -> dict[str, object]:
    return {
        "file": loaded.source,
        "valid": [
            {"namespace": release.metadata.namespace, "name": release.metadata.name}
            for release in loaded.releases
        ],
        "skipped": list(loaded.others),
        "problems": [
            {
                "line": problem.line,
                "column": problem.column,
                "path": problem.where,
                "message": problem.message,
            }
            for problem in loaded.problems
        ],
    }
