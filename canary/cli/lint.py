"""`canary lint`: finds errors and risks in CanaryRelease files."""

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    Context,
    FindingsFormat,
    FindingsOutput,
    Kubeconfig,
    Namespace,
    PrometheusCaFile,
    PrometheusTokenFile,
    Strict,
)
from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.lint.checks_metrics import PrometheusAccess
    from canary.metrics.prometheus import PrometheusOptions


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="YAML files and directories; - reads standard input."),
]
UseCluster = Annotated[
    bool,
    typer.Option(
        "--cluster", help="Check the files against objects in the cluster.", show_default=False
    ),
]
LintPrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="URL",
        help="URL of Prometheus, to check that each metric has enough data.",
    ),
]


def lint(  # noqa: PLR0913, PLR0917 - the flags of one command
    files: Files,
    cluster: UseCluster = False,
    prometheus: LintPrometheusUrl = None,
    strict: Strict = False,
    output: FindingsOutput = FindingsFormat.TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    token_file: PrometheusTokenFile = None,
    ca_file: PrometheusCaFile = None,
) -> None:
    """Check CanaryRelease files for errors and risks.

    Each finding has a line, a column and a remedy. Other manifests among the FILEs (Deployment,
    Service, route, NetworkPolicy …) are checked together with the releases; --cluster checks those
    in the cluster, --prometheus URL checks that there is enough data.

    Exit code 0: no errors; 2: at least one error (with --strict: or a warning); 1: the cluster or
    Prometheus cannot be reached; 7: forbidden.
    """
    from canary.lint.output import print_report  # noqa: PLC0415 - keeps --help quick
    from canary.lint.review import LintSettings, read_pages, review_files  # noqa: PLC0415 - as above
    from canary.metrics.options import options_of  # noqa: PLC0415 - as above

    options = options_of(prometheus, token_file, ca_file)
    with ExitStack() as stack:
        reader = None
        if cluster:
            found = stack.enter_context(
                open_session(namespace, context=context, kubeconfig=kubeconfig)
            )
            reader, namespace = found.client, found.namespace
        monitoring = _open_monitoring(options, stack)
        settings = LintSettings(reader, monitoring, strict)
        report = review_files(read_pages(files, namespace), settings)
    print_report(output, report)
    raise typer.Exit(ExitCode.OK if report.valid else ExitCode.USAGE)


def _open_monitoring(
    options: "PrometheusOptions | None", stack: ExitStack
) -> "PrometheusAccess | None":
    if options is None:
        return None
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.lint.checks_metrics import PrometheusAccess  # noqa: PLC0415 - as above

    return stack.enter_context(closing(PrometheusAccess.of(options, now)))
