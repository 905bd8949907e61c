"""`canary report`: writes the incident report of a release as one HTML page."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, open_session
from canary.cli.options import (
    Context,
    Kubeconfig,
    Name,
    Namespace,
    PrometheusCaFile,
    PrometheusTokenFile,
    PrometheusUrl,
)
from canary.errors import CanaryError, TransientError, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary.kube.objects import Object
    from canary.metrics.prometheus import PrometheusOptions
    from canary.render.incident import ReleasePeriod
    from canary.render.release_view import ReleaseView
    from canary.render.timeline import Moment, ReleaseDecision, Timeline

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
    prometheus_token_file: PrometheusTokenFile = None,
    prometheus_ca_file: PrometheusCaFile = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a report of the current or last release as one HTML page.

    Decisions come from Events and the history. With --prometheus the report also shows requests and
    pools of both versions, and replays the analysis to show the evidence over time.

    Exit code 0: written; 1: no cluster, or Prometheus cannot be reached; 2: no release yet, or an
    invalid option; 7: no such release, or forbidden.
    """
    from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

    options = options_of(prometheus, prometheus_token_file, prometheus_ca_file)
    from canary.cli.release_view import view_of  # noqa: PLC0415 - keeps --help quick
    from canary.render.comparison import describe_result  # noqa: PLC0415 - as above
    from canary.render.html_report import render_report, write_report  # noqa: PLC0415 - as above
    from canary.render.incident import find_period  # noqa: PLC0415 - as above

    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = cluster.release(name)
        sight = view_of(found)
        span = find_period(sight)
        if span is None:
            raise UsageError(f"{sight.title} has had no release yet")
        made = _build_timeline(_ReportInput(cluster, found, sight, span), options)
    path = file or Path(f"{name}-report.html")
    intro = f"What happened to release {made.facts['Release']}, and why."
    write_report(path, render_report([made], heading=describe_result(made.result), intro=intro))
    echo(f"Report: {path}")


@dataclass(frozen=True, slots=True)
class _ReportInput:
    """The release to report on."""

    cluster: Session
    found: "Object"
    sight: "ReleaseView"
    span: "ReleasePeriod"


def _build_timeline(case: _ReportInput, options: "PrometheusOptions | None") -> "Timeline":
    from canary.cli.diagnostics import read_diagnostics  # noqa: PLC0415 - keeps --help quick
    from canary.render import incident  # noqa: PLC0415 - as above

    sight, span = case.sight, case.span
    decisions = incident.read_decisions(_list_events(case), span, sight.now)
    diagnostics = read_diagnostics(case.cluster, case.found, sight)
    moments: Sequence[Moment] = []
    if options is not None:
        moments = _replay_metrics(case, decisions, options)
    else:
        note = "requests, pools and evidence need --prometheus URL"
        diagnostics = replace(diagnostics, notes=(*diagnostics.notes, note))
    moments = moments or incident.weight_moments(decisions, span, sight.now)
    return incident.build_timeline(sight, span, moments, decisions, diagnostics)


def _list_events(case: _ReportInput) -> "list[Object]":
    """Return the Events about this release; none if they may not be read."""
    from canary.kube.objects import EVENTS  # noqa: PLC0415 - keeps --help quick

    try:
        every = case.cluster.client.list(EVENTS, case.sight.namespace, {})
    except CanaryError as error:
        echo(f"canary: decisions are incomplete: {error}", err=True)
        return []
    mine = case.found["metadata"]["uid"]
    return [event for event in every if (event.get("regarding") or {}).get("uid") == mine]


def _replay_metrics(
    case: _ReportInput, decisions: "Sequence[ReleaseDecision]", options: "PrometheusOptions"
) -> "list[Moment]":
    from canary.cli.diagnostics import read_workload, to_release_resource  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.prometheus import Prometheus  # noqa: PLC0415 - as above
    from canary.report.replay import ReleaseContext, replay_release  # noqa: PLC0415 - as above
    from canary.routers.registry import router_of  # noqa: PLC0415 - as above

    resource = to_release_resource(case.found, case.sight)
    workload = read_workload(case.cluster, case.found, case.sight)
    route = router_of(case.sight.spec.traffic, case.cluster.client).read(resource)
    source = Prometheus(options)
    try:
        seen = ReleaseContext(resource, workload, route, case.sight.now)
        return replay_release(seen, case.span, source, decisions)
    except TransientError as error:
        raise TransientError(f"{error}; omit --prometheus for a report without figures") from error
    finally:
        source.close()
