"""`canary lint`: finds errors and risks in CanaryRelease files."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    Context,
    FindingsFormat,
    FindingsOutput,
    Kubeconfig,
    Namespace,
    Strict,
)
from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.lint.checks_metrics import PrometheusOfRelease
    from canary.metrics.options import PrometheusSources


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
        help="URL of Prometheus, to check that each metric has enough data; or the name of a "
        "source in the file of --prometheus-config.",
    ),
]
LintPrometheusConfig = Annotated[
    Path | None,
    typer.Option(
        "--prometheus-config",
        metavar="FILE",
        help="YAML file with Prometheus' address and credentials (docs/prometheus.md).",
    ),
]


def lint(  # noqa: PLR0913, PLR0917 - the flags of one command
    files: Files,
    cluster: UseCluster = False,
    prometheus: LintPrometheusUrl = None,
    prometheus_config: LintPrometheusConfig = None,
    strict: Strict = False,
    output: FindingsOutput = FindingsFormat.TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
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
    from canary.metrics.options import sources_of  # noqa: PLC0415 - as above

    prometheuses = sources_of(prometheus, prometheus_config)
    with ExitStack() as stack:
        reader = None
        if cluster:
            found = stack.enter_context(
                open_session(namespace, context=context, kubeconfig=kubeconfig)
            )
            reader, namespace = found.client, found.namespace
        monitoring = _open_monitoring(prometheuses, stack)
        settings = LintSettings(reader, monitoring, strict)
        report = review_files(read_pages(files, namespace), settings)
    print_report(output, report)
    raise typer.Exit(ExitCode.OK if report.valid else ExitCode.USAGE)


def _open_monitoring(
    sources: "PrometheusSources | None", stack: ExitStack
) -> "PrometheusOfRelease | None":
    if sources is None:
        return None
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.lint.checks_metrics import PrometheusOfRelease  # noqa: PLC0415 - as above

    return stack.enter_context(closing(PrometheusOfRelease(sources.select_for, now)))
