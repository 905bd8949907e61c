"""`canary report`: writes the incident report of a release as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    Context,
    Kubeconfig,
    Name,
    Namespace,
    PrometheusConfig,
    PrometheusUrl,
)
from canary.render.terminal import echo

ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="File to write. Default: NAME-report.html.", show_default=False
    ),
]


def report(  # noqa: PLR0913, PLR0917 - kubectl's flags
    name: Name,
    namespace: Namespace = None,
    file: ReportFile = None,
    prometheus: PrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a report of the current or last release as one HTML page.

    Decisions come from Events and the history. With --prometheus the report also shows requests and
    pools of both versions, and replays the analysis to show the evidence over time.

    Exit code 0: written; 1: no cluster, or Prometheus cannot be reached; 2: no release yet, or an
    invalid option; 7: no such release, or forbidden.
    """
    from canary.cli.release_watch import view_of  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.options import sources_of  # noqa: PLC0415 - as above
    from canary.report.build import ReportSettings, write_release_report  # noqa: PLC0415 - as above

    sources = sources_of(prometheus, prometheus_config)
    path = file or Path(f"{name}-report.html")
    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = cluster.release(name)
        write_release_report(ReportSettings(cluster.client, sources, path), found, view_of(found))
    echo(f"Report: {path}")
