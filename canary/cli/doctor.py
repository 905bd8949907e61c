"""`canary doctor`: is everything there that releases need, and what to do where it is not."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, session
from canary.cli.options import Context, Kubeconfig
from canary.cli.options import Namespace as OneNamespace
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile
from canary.errors import ExitCode

if TYPE_CHECKING:
    from canary.doctor import Diagnosis, DoctorContext
    from canary.metrics.prometheus import PrometheusOptions


class Output(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"


def doctor(  # noqa: PLR0913, PLR0917 - the flags of one command
    namespace: OneNamespace = None,
    prometheus: PrometheusUrl = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Output format: text or JSON.")
    ] = Output.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Examine a cluster: is all there that releases need?

    Looks at the definition, rights, operator, holding, routers, Prometheus and releases: with -n
    those of that namespace. Without --prometheus the address that the operator is told is tried.
    Nothing is written.

    Exit code 0: nothing is wrong (there may be warnings); 3: something is; 1: the cluster does not
    answer; 7: forbidden.
    """
    from canary.doctor import DiagnosisState, diagnose_cluster  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

    options = options_of(prometheus, token_file, ca_file)
    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = list(diagnose_cluster(_patient(cluster, namespace or "", options)))
    bad = any(one.state is DiagnosisState.ERROR for one in found)
    if output is Output.JSON:
        typer.echo(json.dumps(_as_json(found, ok=not bad), indent=2, ensure_ascii=False))
    else:
        _print(found)
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


def _patient(cluster: Session, scope: str, options: "PrometheusOptions | None") -> "DoctorContext":
    from canary.doctor import DoctorContext, OperatorDefaults  # noqa: PLC0415 - keeps --help quick
    from canary.kube.transport import ApiRequest, RequestTimeouts  # noqa: PLC0415 - as above
    from canary.metrics.query_api import http_date  # noqa: PLC0415 - as above
    from canary.operator.settings import DEFAULT_LEASE, DEFAULT_PROMETHEUS  # noqa: PLC0415 - as above

    def date() -> float | None:
        answer = cluster.transport.send(ApiRequest("GET", "/version"), RequestTimeouts())
        return http_date(answer.headers)

    place, host = cluster.namespace, cluster.transport.host
    usual = OperatorDefaults(DEFAULT_LEASE, DEFAULT_PROMETHEUS)
    return DoctorContext(cluster.client, place, scope, host, date, usual, options)


def _as_json(found: Sequence["Diagnosis"], *, ok: bool) -> dict[str, object]:
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


def _print(found: Sequence["Diagnosis"]) -> None:
    from rich.console import Console  # noqa: PLC0415 - keeps --help quick

    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_table(found))
        return
    for one in found:
        remedy = f"; {one.remedy}" if one.remedy else ""
        typer.echo(f"{one.state.value:7} {one.check}: {one.sentence}{remedy}")


def _table(found: Sequence["Diagnosis"]) -> object:
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
