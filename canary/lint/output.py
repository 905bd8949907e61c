"""Prints the findings of a lint run as lines, one JSON document, or SARIF."""

import json
from collections.abc import Iterator, Sequence

from canary import __version__
from canary.api import LoadedReleases, Problem
from canary.lint.review import LintReport, LocatedFinding
from canary.lint.rules import RULES
from canary.render.terminal import echo
from canary.results.sarif import FindingLevel, SarifFinding, render_sarif


def print_report(output: str, report: LintReport) -> None:
    """Print the findings on standard output; `output` is text, json or sarif."""
    files = [(page.loaded, report.risks[page.loaded.source]) for page in report.pages]
    match output:
        case "text":
            for loaded, risks in files:
                echo("\n".join(_format_lines(loaded, risks)))
        case "json":
            shown = [_as_json(loaded, risks) for loaded, risks in files]
            whole = {"schemaVersion": 1, "valid": report.valid, "files": shown}
            echo(json.dumps(whole, indent=2, ensure_ascii=False))
        case _:
            echo(_format_sarif(files), nl=False)


def _format_sarif(files: Sequence[tuple[LoadedReleases, Sequence[LocatedFinding]]]) -> str:
    found = []
    for loaded, risks in files:
        for one in loaded.problems:
            said = f"{one.where}: {one.message}"
            found.append(SarifFinding(loaded.source, one.line, one.column, "spec", said))
        for risk in risks:
            place, rule = risk.place, risk.finding.rule
            said = f"{place.where}: {place.message}"
            level = FindingLevel(rule.level.value)
            found.append(
                SarifFinding(loaded.source, place.line, place.column, rule.id, said, level)
            )
    titles = {rule.id: rule.title for rule in RULES}
    return render_sarif(
        found, __version__, titles | {"spec": "The file is not a valid CanaryRelease."}
    )


def _format_lines(loaded: LoadedReleases, risks: Sequence[LocatedFinding]) -> Iterator[str]:
    for release in loaded.releases:
        count = sum(risk.release.metadata.name == release.metadata.name for risk in risks)
        found = f", {count} {'risk' if count == 1 else 'risks'}" if count else ""
        yield f"{loaded.source}: {release.metadata.name}: valid{found}"
    yield from (f"{loaded.source}: {other}: skipped" for other in loaded.others)
    for problem in loaded.problems:
        place = f"{loaded.source}:{problem.line}:{problem.column}"
        yield f"{place}: error: {problem.where}: {problem.message}"
    for risk in risks:
        place = f"{loaded.source}:{risk.place.line}:{risk.place.column}"
        said = f"{risk.place.where}: {risk.place.message}"
        yield f"{place}: {risk.level}: {said} [{risk.finding.rule.id}]"


def _as_json(loaded: LoadedReleases, risks: Sequence[LocatedFinding]) -> dict[str, object]:
    return {
        "file": loaded.source,
        "valid": [
            {"namespace": release.metadata.namespace, "name": release.metadata.name}
            for release in loaded.releases
        ],
        "skipped": list(loaded.others),
        "problems": [_problem_as_json(problem) for problem in loaded.problems],
        "risks": [
            _problem_as_json(risk.place)
            | {
                "message": risk.finding.message,
                "remedy": risk.finding.rule.remedy,
                "rule": risk.finding.rule.id,
                "level": risk.level.value,
                "query": risk.finding.query,
            }
            for risk in risks
        ],
    }


def _problem_as_json(problem: Problem) -> dict[str, object]:
    return {
        "line": problem.line,
        "column": problem.column,
        "path": problem.where,
        "message": problem.message,
    }
