"""`canary lint`: what is wrong with CanaryRelease files, and what is risky, with its place."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import session
from canary.cli.options import Context, Kubeconfig, Namespace
from canary.cli.prometheus import CaFile, TokenFile, options_of
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from canary.api import CanaryRelease, Loaded, Problem
    from canary.api import Path as FieldPath
    from canary.metrics.prometheus import PrometheusOptions
    from canary.survey.review import Page, Risk
    from canary.survey.risks_metrics import Monitoring


class Output(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def lint(  # noqa: PLR0913, PLR0917 - the flags of one command
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="YAML files and folders; - is standard input."),
    ],
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Look up what the files name.", show_default=False),
    ] = False,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask it whether each metric has data, and enough."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count as errors.", show_default=False)
    ] = False,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Output format: text, json or sarif.")
    ] = Output.TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Check CanaryRelease files: all problems and risks at once.

    Each comes with line and column, and with what to do. Other manifests among the FILEs
    (Deployment, Service, route, NetworkPolicy …) are looked at beside the releases; --cluster looks
    at those in the cluster, --prometheus URL asks whether there is data, and enough of it.

    Exit code 0: no error; 2: at least one (with --strict: or a warning); 1: the cluster or
    Prometheus does not answer; 7: forbidden.
    """
    from canary.survey.review import Sources, review  # noqa: PLC0415 - keeps --help quick
    from canary.survey.rules import Level  # noqa: PLC0415 - as above

    options = options_of(prometheus, token_file, ca_file)
    with ExitStack() as stack:
        reader = None
        if cluster:
            asked = stack.enter_context(session(namespace, context=context, kubeconfig=kubeconfig))
            reader, namespace = asked.client, asked.namespace
        pages = _pages(files, namespace)
        monitoring = _monitoring(options, stack)
        risks = review(pages, Sources(reader, monitoring))
    problems = any(page.loaded.problems for page in pages)
    counted = [risk for found in risks.values() for risk in found]
    bad = problems or any(strict or risk.level is Level.ERROR for risk in counted)
    _print(output, pages, risks, valid=not bad)
    raise typer.Exit(ExitCode.USAGE if bad else ExitCode.OK)


def _pages(files: Sequence[str], namespace: str | None) -> list["Page"]:
    """All files; one CanaryRelease in any of them is enough, the others stand beside it."""
    paths = [path for file in files for path in _paths(file)]
    pages = [_page(path, namespace, required=False) for path in paths]
    if any(page.loaded.releases or page.loaded.problems for page in pages):
        return pages
    return [_page(path, namespace, required=True) for path in paths[:1]] + pages[1:]


def _paths(file: str) -> list[str]:
    from canary.survey.manifests import paths_of  # noqa: PLC0415 - keeps --help quick

    try:
        return list(paths_of(file))
    except UsageError:
        return [file]  # An empty folder: reading it says what is wrong, beside the other files.


def _page(file: str, namespace: str | None, *, required: bool) -> "Page":
    from canary.api import Loaded, Problem, load_releases  # noqa: PLC0415 - keeps --help quick
    from canary.survey.manifests import content_of  # noqa: PLC0415 - as above
    from canary.survey.review import Page, page_of  # noqa: PLC0415 - as above

    name = "stdin" if file == "-" else file
    try:
        content = content_of(file)
    except OSError as error:
        found = error.strerror or "an error"
        unreadable = Problem(1, 1, "file", f"a readable file is expected, found: {found}")
        return Page(Loaded(name, (), (), (unreadable,)), (), ())
    loaded = load_releases(content, name, rules=(unknown_presets,), required=required)
    return page_of(loaded, content, namespace)


def _monitoring(options: "PrometheusOptions | None", stack: ExitStack) -> "Monitoring | None":
    if options is None:
        return None
    from canary.operator.run import SystemClock  # noqa: PLC0415 - keeps --help quick
    from canary.survey.risks_metrics import Monitoring  # noqa: PLC0415 - as above

    return stack.enter_context(closing(Monitoring.of(options, SystemClock().now)))


def unknown_presets(release: "CanaryRelease") -> Iterator[tuple["FieldPath", str]]:
    """Preset names that no preset has: where, and which there are."""
    from canary.api import unknown  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.presets import LATENCIES, POOLS, RATIOS  # noqa: PLC0415 - keeps --help quick

    known = {
        "ratio": [row.name for row in RATIOS],
        "latency": [row.name for row in LATENCIES],
        "clientErrors": [row.name for row in RATIOS if row.client is not None],
        "pool": [row.name for row in POOLS],
    }
    for index, metric in enumerate(release.spec.analysis.metrics):
        name = metric.preset
        if name is not None and name not in known[metric.kind]:
            path = ("spec", "analysis", "metrics", index, metric.kind, "preset")
            yield path, unknown(f"{metric.kind} preset", name, known[metric.kind])


def _print(
    output: Output, pages: Sequence["Page"], risks: Mapping[str, Sequence["Risk"]], *, valid: bool
) -> None:
    match output:
        case Output.TEXT:
            for page in pages:
                typer.echo("\n".join(_lines(page.loaded, risks[page.loaded.source])))
        case Output.JSON:
            files = [_as_json(page.loaded, risks[page.loaded.source]) for page in pages]
            whole = {"schemaVersion": 1, "valid": valid, "files": files}
            typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        case Output.SARIF:
            typer.echo(_sarif(pages, risks), nl=False)


def _sarif(pages: Sequence["Page"], risks: Mapping[str, Sequence["Risk"]]) -> str:
    from canary import __version__  # noqa: PLC0415 - beside its only use
    from canary.results.sarif import Finding, Level, sarif  # noqa: PLC0415 - keeps --help quick
    from canary.survey.rules import RULES  # noqa: PLC0415 - as above

    found = []
    for page in pages:
        file = page.loaded.source
        for one in page.loaded.problems:
            said = f"{one.where}: {one.message}"
            found.append(Finding(file, one.line, one.column, "spec", said))
        for risk in risks[file]:
            place, rule = risk.place, risk.finding.rule
            said = f"{place.where}: {place.message}"
            level = Level(rule.level.value)
            found.append(Finding(file, place.line, place.column, rule.id, said, level))
    titles = {rule.id: rule.title for rule in RULES}
    return sarif(found, __version__, titles | {"spec": "The file is not a valid CanaryRelease."})


def _lines(loaded: "Loaded", risks: Sequence["Risk"]) -> Iterator[str]:
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


def _as_json(loaded: "Loaded", risks: Sequence["Risk"]) -> dict[str, object]:
    return {
        "file": loaded.source,
        "valid": [
            {"namespace": release.metadata.namespace, "name": release.metadata.name}
            for release in loaded.releases
        ],
        "skipped": list(loaded.others),
        "problems": [_problem(problem) for problem in loaded.problems],
        "risks": [
            _problem(risk.place)
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


def _problem(problem: "Problem") -> dict[str, object]:
    return {
        "line": problem.line,
        "column": problem.column,
        "path": problem.where,
        "message": problem.message,
    }
