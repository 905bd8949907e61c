"""The options of everything that pipelines run: JUnit, Markdown, JSON, annotations.

Used as `def gate(..., junit: Junit = None, summary: Summary = None, gitlab: GitLab = None,
output: Form = Output.TEXT)`, then `artefacts(junit, summary, gitlab, output)`.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from canary.results.publishing import Artefacts


class Output(StrEnum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"


Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML: a case per metric.")
]
Summary = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Write a summary in Markdown. GITHUB_STEP_SUMMARY gets it as well, when set.",
    ),
]
GitLab = Annotated[
    Path | None,
    typer.Option("--gitlab", metavar="FILE", help="Write a Code Quality report for GitLab."),
]
Form = Annotated[Output, typer.Option("-o", "--output", help="Output format: text or JSON.")]


def artefacts(
    junit: Path | None,
    summary: Path | None,
    gitlab: Path | None,
    output: Output,
    environment: Mapping[str, str] = os.environ,
) -> "Artefacts":
    """What to write, checked now rather than at the end. Raises UsageError naming the option."""
    from canary.results.publishing import Artefacts  # noqa: PLC0415 - keeps --help quick

    step_summary = environment.get("GITHUB_STEP_SUMMARY")
    chosen = Artefacts(
        as_json=output is Output.JSON,
        junit=junit,
        summary=summary,
        gitlab=gitlab,
        step_summary=Path(step_summary) if step_summary else None,
        annotate=environment.get("GITHUB_ACTIONS") == "true",
    )
    chosen.check()
    return chosen
