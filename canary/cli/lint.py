"""`canary lint`: what is wrong with CanaryRelease files, and what is risky, with its place."""

from contextlib import ExitStack, closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import session
from canary.cli.options import Context, Kubeconfig, Namespace
from canary.cli.prometheus import CaFile, TokenFile
from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.lint.checks_metrics import PrometheusAccess
    from canary.metrics.prometheus import PrometheusOptions


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
    from canary.lint.output import print_findings  # noqa: PLC0415 - as above
    from canary.lint.review import (  # noqa: PLC0415 - keeps --help quick
        LintSources,
        read_pages,
        review_files,
    )
    from canary.lint.rules import LintLevel  # noqa: PLC0415 - as above
    from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

    options = options_of(prometheus, token_file, ca_file)
    with ExitStack() as stack:
        reader = None
        if cluster:
            asked = stack.enter_context(session(namespace, context=context, kubeconfig=kubeconfig))
            reader, namespace = asked.client, asked.namespace
        pages = read_pages(files, namespace)
        monitoring = _monitoring(options, stack)
        risks = review_files(pages, LintSources(reader, monitoring))
    problems = any(page.loaded.problems for page in pages)
    counted = [risk for found in risks.values() for risk in found]
    bad = problems or any(strict or risk.level is LintLevel.ERROR for risk in counted)
    print_findings(output, pages, risks, valid=not bad)
    raise typer.Exit(ExitCode.USAGE if bad else ExitCode.OK)


def _monitoring(options: "PrometheusOptions | None", stack: ExitStack) -> "PrometheusAccess | None":
    if options is None:
        return None
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.lint.checks_metrics import PrometheusAccess  # noqa: PLC0415 - as above

    return stack.enter_context(closing(PrometheusAccess.of(options, now)))
