"""`canary pools`: lists connection pools, sorted by how soon they are exhausted."""

from typing import Annotated

import typer

from canary.cli.options import (
    DOCUMENT_FORMATS,
    AllNamespaces,
    DocumentOutput,
    PrometheusConfig,
    PrometheusUrl,
    parse_seconds,
)
from canary.errors import UsageError
from canary.render.documents import OutputFormat, parse_format

LabelNamespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        help="Only pools whose `namespace` label has this value. Default: all.",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")]
RefreshInterval = Annotated[
    float,
    typer.Option(
        "--interval",
        parser=parse_seconds,
        metavar="TIME",
        help="Refresh interval with -w.",
        show_default="5s",
    ),
]


def pools(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    namespace: LabelNamespace = None,
    all_namespaces: AllNamespaces = False,
    watch: Watch = False,
    interval: RefreshInterval = 5.0,
    output: DocumentOutput = None,
    prometheus: PrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
) -> None:
    """List connection pools, sorted by how soon they are exhausted.

    Needs Prometheus but no cluster, and finds the pools of every preset. HELD is the number of
    connections in use that rate × hold time does not explain, over ten minutes: they are probably
    leaked. IN-USE is NaN if the exporter reports NaN.

    Exit code 0: pools listed, however full they are; 1: Prometheus could not be queried; 2: invalid
    options; 6: no metrics of pools found.
    """
    from canary.metrics.options import HISTORY, require_sources  # noqa: PLC0415 - keeps --help quick
    from canary.pools.screen import PoolSettings, show_pools, watch_pools  # noqa: PLC0415 - as above

    form = parse_format(output, DOCUMENT_FORMATS)
    if namespace and all_namespaces:
        raise UsageError(
            "-n cannot be combined with -A: set one of them, or neither for all namespaces"
        )
    if watch and form is not OutputFormat.TEXT:
        raise UsageError("-w cannot be combined with -o")
    if interval < 1:
        raise UsageError(f"--interval: expected at least 1s, found {interval:g}s")
    options = require_sources(prometheus, prometheus_config, HISTORY).select_for(None)
    settings = PoolSettings(options, namespace or "", interval, form)
    if watch:
        watch_pools(settings)
    raise typer.Exit(show_pools(settings))
