"""`canary report`: the incident report of a release, as one HTML file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, session
from canary.cli.options import Context, Kubeconfig, Name, Namespace
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile
from canary.errors import CanaryError, TransientError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary.kube.objects import Object
    from canary.metrics.prometheus import PrometheusOptions
    from canary.render.incident import ReleasePeriod
    from canary.render.release_view import ReleaseView
    from canary.render.timeline import Moment, ReleaseDecision, Timeline

File = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="Where it goes. Default: NAME-report.html here.", show_default=False
    ),
]


def report(  # noqa: PLR0913, PLR0917 - kubectl's flags
    name: Name,
    namespace: Namespace = None,
    file: File = None,
    prometheus: PrometheusUrl = None,
    prometheus_token_file: TokenFile = None,
    prometheus_ca_file: CaFile = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a report of a release as one HTML file.

    Of the one under way, else of the last. Decisions come from Events and the history; with
    --prometheus also both versions' requests and pools, and the evidence as it grew, judged once
    more.

    Exit code 0: written; 1: no cluster, or the monitoring does not answer; 2: no release yet, or a
    wrong option; 7: no such release, or forbidden.
    """
    from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

    options = options_of(prometheus, prometheus_token_file, prometheus_ca_file)
    from canary.cli.sights import sight_of  # noqa: PLC0415 - keeps --help quick
    from canary.render.comparison import describe_result  # noqa: PLC0415 - as above
    from canary.render.html_report import render_report, write_report  # noqa: PLC0415 - as above
    from canary.render.incident import find_period  # noqa: PLC0415 - as above

    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = cluster.release(name)
        sight = sight_of(found)
        span = find_period(sight)
        if span is None:
            raise UsageError(f"{sight.title} has had no release yet: there is nothing to report")
        made = _timeline(_Case(cluster, found, sight, span), options)
    path = file or Path(f"{name}-report.html")
    intro = f"What happened to release {made.facts['Release']}, and why."
    write_report(path, render_report([made], heading=describe_result(made.result), intro=intro))
    typer.echo(f"Report: {path}")


@dataclass(frozen=True, slots=True)
class _Case:
    """What is reported."""

    cluster: Session
    found: "Object"
    sight: "ReleaseView"
    span: "ReleasePeriod"


def _timeline(case: _Case, options: "PrometheusOptions | None") -> "Timeline":
    from canary.cli.diagnostics import around  # noqa: PLC0415 - keeps --help quick
    from canary.render import incident  # noqa: PLC0415 - as above

    sight, span = case.sight, case.span
    told = incident.read_decisions(_events(case), span, sight.now)
    beside = around(case.cluster, case.found, sight)
    moments: Sequence[Moment] = []
    if options is not None:
        moments = _replayed(case, told, options)
    else:
        note = "requests, pools and evidence are not shown: give --prometheus URL"
        beside = replace(beside, notes=(*beside.notes, note))
    moments = moments or incident.weight_moments(told, span, sight.now)
    return incident.build_timeline(sight, span, moments, told, beside)


def _events(case: _Case) -> "list[Object]":
    """What the operator said about this object; none where they may not be read."""
    from canary.kube.objects import EVENTS  # noqa: PLC0415 - keeps --help quick

    try:
        every = case.cluster.client.list(EVENTS, case.sight.namespace, {})
    except CanaryError as error:
        typer.echo(f"canary: decisions are not complete: {error}", err=True)
        return []
    mine = case.found["metadata"]["uid"]
    return [event for event in every if (event.get("regarding") or {}).get("uid") == mine]


def _replayed(
    case: _Case, told: "Sequence[ReleaseDecision]", options: "PrometheusOptions"
) -> "list[Moment]":
    from canary.cli.diagnostics import wish_of, workload_of  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.prometheus import Prometheus  # noqa: PLC0415 - as above
    from canary.report.replay import Seen, replayed  # noqa: PLC0415 - as above
    from canary.routers.registry import router_of  # noqa: PLC0415 - as above

    resource = wish_of(case.found, case.sight)
    workload = workload_of(case.cluster, case.found, case.sight)
    route = router_of(case.sight.spec.traffic, case.cluster.client).read(resource)
    source = Prometheus(options)
    try:
        seen = Seen(resource, workload, route, case.sight.now)
        return replayed(seen, case.span, source, told)
    except TransientError as error:
        raise TransientError(f"{error}; without --prometheus the report has no figures") from error
    finally:
        source.close()
