"""Collects the events and metrics of a release and writes the page of `canary report`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from canary.errors import CanaryError, TransientError, UsageError
from canary.kube.client import Client
from canary.kube.objects import EVENTS, Object
from canary.metrics.options import PrometheusSources
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.render import incident
from canary.render.comparison import describe_result
from canary.render.html_report import render_report, write_report
from canary.render.release_view import ReleaseView
from canary.render.terminal import echo
from canary.render.timeline import Moment, ReleaseDecision, Timeline
from canary.report.diagnostics import read_diagnostics, read_workload, to_release_resource
from canary.report.replay import ReleaseContext, replay_release
from canary.routers.registry import router_of


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Sources of a report, and the file to write."""

    client: Client
    prometheus: PrometheusSources | None
    """None: the report has no requests, pools or evidence."""
    file: Path


def write_release_report(settings: ReportSettings, found: Object, sight: ReleaseView) -> None:
    """Write the report of the current or last release.

    Raises:
        UsageError: there was no release yet.
        TransientError: the cluster or Prometheus cannot be reached.
    """
    period = incident.find_period(sight)
    if period is None:
        raise UsageError(f"{sight.title} has had no release yet")
    made = _build_timeline(settings, found, sight, period)
    intro = f"What happened to release {made.facts['Release']}, and why."
    page = render_report([made], heading=describe_result(made.result), intro=intro)
    write_report(settings.file, page)


def _build_timeline(
    settings: ReportSettings, found: Object, sight: ReleaseView, period: incident.ReleasePeriod
) -> Timeline:
    events = _list_events(settings.client, found, sight.namespace)
    decisions = incident.read_decisions(events, period, sight.now)
    diagnostics = read_diagnostics(settings.client, found, sight)
    moments: Sequence[Moment] = []
    if settings.prometheus is not None:
        options = settings.prometheus.select_for(sight.spec.analysis.prometheus)
        context = _read_context(settings.client, found, sight)
        moments = _replay_metrics(context, period, decisions, options)
    else:
        note = "requests, pools and evidence need --prometheus URL"
        diagnostics = replace(diagnostics, notes=(*diagnostics.notes, note))
    moments = moments or incident.weight_moments(decisions, period, sight.now)
    return incident.build_timeline(sight, period, moments, decisions, diagnostics)


def _list_events(client: Client, found: Object, namespace: str) -> list[Object]:
    """Return the Events about this release; empty, with a warning, if they cannot be read."""
    try:
        every = client.list(EVENTS, namespace, {})
    except CanaryError as error:
        echo(f"canary: decisions are incomplete: {error}", err=True)
        return []
    mine = found["metadata"]["uid"]
    return [event for event in every if (event.get("regarding") or {}).get("uid") == mine]


def _read_context(client: Client, found: Object, sight: ReleaseView) -> ReleaseContext:
    resource = to_release_resource(found, sight)
    workload = read_workload(client, found, sight)
    route = router_of(sight.spec.traffic, client).read(resource)
    return ReleaseContext(resource, workload, route, sight.now)


def _replay_metrics(
    context: ReleaseContext,
    period: incident.ReleasePeriod,
    decisions: Sequence[ReleaseDecision],
    options: PrometheusOptions,
) -> list[Moment]:
    source = Prometheus(options)
    try:
        return replay_release(context, period, source, decisions)
    except TransientError as error:
        raise TransientError(f"{error}; omit --prometheus for a report without figures") from error
    finally:
        source.close()
