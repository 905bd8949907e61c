"""`canary doctor`: checks that a cluster has everything that releases need."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from canary.cli.cluster import Session, open_session
from canary.cli.options import (
    Context,
    Kubeconfig,
    PrometheusConfig,
    PrometheusUrl,
    ResultFormat,
    ResultOutput,
)
from canary.cli.options import Namespace as OneNamespace
from canary.errors import ExitCode
from canary.render.console import SafeConsole
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.doctor import Diagnosis, DoctorContext
    from canary.metrics.prometheus import PrometheusOptions


def doctor(  # noqa: PLR0913, PLR0917 - the flags of one command
    namespace: OneNamespace = None,
    prometheus: PrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
    output: ResultOutput = ResultFormat.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check that a cluster has everything that releases need.

    Checks the CRD, permissions, the operator, the pause mode, routers, Prometheus and releases;
    with -n only the releases in that namespace. Without --prometheus it queries the URL that the
    operator is configured with. Writes nothing.

    Exit code 0: no errors (there may be warnings); 3: at least one error; 1: the cluster cannot be
    reached; 7: forbidden.
    """
    from canary.doctor import DiagnosisState, diagnose_cluster  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.options import sources_of  # noqa: PLC0415 - keeps --help quick

    sources = sources_of(prometheus, prometheus_config)
    options = sources.chosen() if sources else ()
    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = list(diagnose_cluster(_build_context(cluster, namespace or "", options)))
    bad = any(one.state is DiagnosisState.ERROR for one in found)
    if output is ResultFormat.JSON:
        echo(json.dumps(_build_document(found, ok=not bad), indent=2, ensure_ascii=False))
    else:
        _print_findings(found)
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


def _build_context(
    cluster: Session, scope: str, options: "tuple[PrometheusOptions, ...]"
) -> "DoctorContext":
    from canary.doctor import DoctorContext, OperatorDefaults  # noqa: PLC0415 - as above
    from canary.kube.transport import ApiRequest, RequestTimeouts  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.query_api import http_date  # noqa: PLC0415 - as above
    from canary.operator.settings import DEFAULT_LEASE, DEFAULT_PROMETHEUS  # noqa: PLC0415 - as above

    def date() -> float | None:
        answer = cluster.transport.send(ApiRequest("GET", "/version"), RequestTimeouts())
        return http_date(answer.headers)

    place, host = cluster.namespace, cluster.transport.host
    usual = OperatorDefaults(DEFAULT_LEASE, DEFAULT_PROMETHEUS)
    return DoctorContext(cluster.client, place, scope, host, date, usual, options)


def _build_document(found: Sequence["Diagnosis"], *, ok: bool) -> dict[str, object]:
    return {
        "schemaVersion": 1,
        "ok": ok,
        "findings": [
            {
                "check": one.check,
                "state": one.state.value,
                "message": one.sentence,
                "remedy": one.remedy,
            }
            for one in found
        ],
    }


def _print_findings(found: Sequence["Diagnosis"]) -> None:

    console = SafeConsole()
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_build_table(found))
        return
    for one in found:
        remedy = f"; {one.remedy}" if one.remedy else ""
        echo(f"{one.state.value:7} {one.check}: {one.sentence}{remedy}")


def _build_table(found: Sequence["Diagnosis"]) -> object:
    from rich.table import Table  # noqa: PLC0415 - only on a terminal
    from rich.text import Text  # noqa: PLC0415 - as above

    colors = {"ok": "green", "warning": "yellow", "error": "bold red"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("STATE", no_wrap=True)
    table.add_column("CHECK", overflow="fold", max_width=26)
    table.add_column("FINDING", overflow="fold")
    for one in found:
        text = Text(one.sentence)
        if one.remedy:
            text.append(f"\n→ {one.remedy}", style="cyan")
        table.add_row(Text(one.state.value, style=colors[one.state.value]), one.check, text)
    return table
