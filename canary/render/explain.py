"""Explains why a release is in its current state, as data, text or a document. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from canary.api import HistoryEntry, Intent, LookAt, MetricStatus, Phase
from canary.core.next_step import describe_next_step
from canary.core.snapshot import Verb
from canary.core.statistics import wilson_interval
from canary.render.allowed_commands import describe_effect, list_allowed
from canary.render.deadlines import list_deadlines
from canary.render.release_view import ReleaseView, current_metrics
from canary.render.status_text import SCHEMA_VERSION, metric_document
from canary.text.format import (
    format_amount,
    format_count,
    format_date_time,
    format_errors_served,
    format_percent,
    format_timestamp,
    human_duration,
    split_camel_case,
)


@dataclass(frozen=True, slots=True)
class CanaryPod:
    """A pod of the canary and its state."""

    name: str
    state: str
    gone: bool = False
    """The pod is deleted; only its name is known."""


@dataclass(frozen=True, slots=True)
class PrometheusQuery:
    """A query that can be pasted into Prometheus."""

    key: str
    promql: str


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Data about the release from other objects; notes list what could not be read."""

    pods: tuple[CanaryPod, ...] = ()
    queries: tuple[PrometheusQuery, ...] = ()
    notes: tuple[str, ...] = ()
    runbook: str | None = None
    """URL of the runbook of the reason."""


@dataclass(frozen=True, slots=True)
class ExplainLine:
    """One line; `wrapped` is for prose, and text to be pasted is not wrapped."""

    label: str
    text: str
    wrapped: bool = True
    aside: str = ""
    """What a command does, printed after it as a shell comment."""


def find_responsible_metrics(view: ReleaseView) -> tuple[MetricStatus, ...]:
    """Return the metrics behind the current state; those of the rollback if there was one."""
    if view.failed is not None:
        return view.failed.analysis
    failing = tuple(one for one in current_metrics(view.status) if one.reason is not None)
    return failing or current_metrics(view.status)


def explain_release(view: ReleaseView, around: Diagnostics) -> Iterator[ExplainLine]:
    """Return all lines of the explanation."""
    yield from _position_line(view)
    yield from _reason_lines(view)
    if view.failed is not None:
        yield from _rollback_lines(view, view.failed)
    elif view.under_way:
        yield from _deadline_lines(view)
    for one in find_responsible_metrics(view):
        yield from _metric_lines(one, view.status.message)
    yield from _diagnostic_lines(around)
    yield from _command_lines(view, around)


def _position_line(view: ReleaseView) -> Iterator[ExplainLine]:
    status = view.status
    step = (
        f", step {status.step + 1} of {len(view.spec.steps)}"
        if status.intent is Intent.ADVANCE
        else ""
    )
    weight = f" at {status.weight} %" if status.weight else ""
    yield ExplainLine(view.title, f"{split_camel_case(status.phase)}{weight}{step}")


def _reason_lines(view: ReleaseView) -> Iterator[ExplainLine]:
    status = view.status
    yield ExplainLine("reason", f"{status.reason}: {status.reason.info.sentence}")
    if status.message and status.message != status.reason.info.sentence:
        yield ExplainLine("", status.message)
    if status.release is not None and status.release.pause is not None:
        pause = status.release.pause
        yield ExplainLine(
            "since",
            f"{format_date_time(pause.since)} ({human_duration(view.now - pause.since)} ago)",
        )


def _rollback_lines(view: ReleaseView, entry: HistoryEntry) -> Iterator[ExplainLine]:
    ago, ran = (
        human_duration(view.now - entry.ended_at),
        human_duration(entry.ended_at - entry.started_at),
    )
    yield ExplainLine(
        "when",
        f"{format_date_time(entry.started_at)} to {format_date_time(entry.ended_at)}: "
        f"{ran}, {ago} ago",
    )
    yield ExplainLine("version", f"{entry.template} was compared with {view.status.stable_hash}")
    yield ExplainLine(
        "reached",
        f"at most {entry.peak_weight} % of the traffic; "
        f"{format_errors_served(entry.errors_served)}",
    )


def _deadline_lines(view: ReleaseView) -> Iterator[ExplainLine]:
    yield ExplainLine("next", describe_next_step(view.spec, view.status, view.now))
    for limit in list_deadlines(view):
        left = limit.at - view.now
        when = f"in {human_duration(left)}" if left > 0 else "now"
        yield ExplainLine("at latest", f"{format_date_time(limit.at)} ({when}): {limit.then}")


def _metric_lines(one: MetricStatus, said: str) -> Iterator[ExplainLine]:
    yield ExplainLine("metric", f"{one.name}: {one.verdict}")
    for side, bad, total in (
        ("canary", one.canary_bad, one.canary_total),
        ("stable", one.stable_bad, one.stable_total),
    ):
        if total > 0:
            low, high = (format_percent(bound) for bound in wilson_interval(bad, total))
            share = f"{format_percent(bad / total)} ({low} to {high})"
            yield ExplainLine(
                f"  {side}", f"{format_count(bad)} of {format_count(total)} bad: {share}"
            )
    if one.ratio is not None:
        yield ExplainLine("  ratio", f"{one.ratio:.3g} times stable's{_format_interval(one)}")
    yield ExplainLine(
        "  evidence", f"{format_amount(one.evidence)}; it fails at {format_amount(one.threshold)}"
    )
    if one.message and one.message not in said:
        yield ExplainLine("  detail", one.message)


def _format_interval(one: MetricStatus) -> str:
    if one.ratio_low is None or one.ratio_high is None:
        return ""
    return f" (between {one.ratio_low:.3g} and {one.ratio_high:.3g})"


def _diagnostic_lines(around: Diagnostics) -> Iterator[ExplainLine]:
    for query in around.queries:
        yield ExplainLine(f"query {query.key}", query.promql, wrapped=False)
    for pod in around.pods:
        yield ExplainLine("pod", f"{pod.name}: {pod.state}")
    for note in around.notes:
        yield ExplainLine("note", note)


def _command_lines(view: ReleaseView, around: Diagnostics) -> Iterator[ExplainLine]:
    for number, (command, words) in enumerate(list_commands(view, around)):
        yield ExplainLine("you can" if number == 0 else "", command, wrapped=False, aside=words)
    if around.runbook is not None:
        yield ExplainLine("runbook", around.runbook, wrapped=False)


def needs_queries(view: ReleaseView) -> bool:
    """Return whether the cause is in the numbers, so that the queries help."""
    failing = view.failed is not None or view.status.phase is Phase.ROLLING_BACK
    return failing or view.status.reason.info.silent


def list_commands(view: ReleaseView, around: Diagnostics) -> list[tuple[str, str]]:
    """Return the commands that are useful now, and what each does."""
    spec, status = view.spec, view.status
    asked = [
        (f"canary {verb} {view.name} -n {view.namespace}", describe_effect(verb, spec, status))
        for verb in list_allowed(spec, status)
        if verb is not Verb.RESTART  # always possible, but never the remedy
    ]
    pods = [pod.name for pod in around.pods if not pod.gone]
    return [*asked, *suggest_commands(view, pods)]


def needs_runbook(view: ReleaseView) -> bool:
    """Return whether a person has to act on something that no person caused."""
    status = view.status
    stuck = status.phase in {Phase.PAUSED, Phase.ROLLED_BACK, Phase.ROLLING_BACK}
    return stuck and not status.reason.info.by_person


def explain_document(view: ReleaseView, around: Diagnostics) -> dict[str, Any]:
    """Return the explanation as a JSON document."""
    status, failed = view.status, view.failed
    return {
        "schemaVersion": SCHEMA_VERSION,
        "namespace": view.namespace,
        "name": view.name,
        "phase": status.phase,
        "reason": status.reason,
        "sentence": status.reason.info.sentence,
        "message": status.message,
        "next": describe_next_step(view.spec, status, view.now) if failed is None else None,
        "limits": [
            {"at": format_timestamp(one.at), "then": one.then} for one in list_deadlines(view)
        ],
        "rejected": failed
        and {
            "template": failed.template,
            "stable": status.stable_hash,
            "startedAt": format_timestamp(failed.started_at),
            "endedAt": format_timestamp(failed.ended_at),
            "peakWeight": failed.peak_weight,
            "errorsServed": failed.errors_served,
        },
        "metrics": [metric_document(one) for one in find_responsible_metrics(view)],
        "queries": [{"key": one.key, "promql": one.promql} for one in around.queries],
        "pods": [{"name": one.name, "state": one.state} for one in around.pods],
        "notes": list(around.notes),
        "commands": [
            {"command": command, "effect": words} for command, words in list_commands(view, around)
        ],
        "runbook": around.runbook,
    }


def suggest_commands(view: ReleaseView, pods: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield `(command, what it shows)`; `pods` are the names of the canary's existing pods."""
    here, target = f"-n {view.namespace}", view.spec.target.name
    match view.status.reason.info.look_at:
        case LookAt.CANARY_PODS if pods:
            chosen = "-l canary-controller.dev/role=canary"
            yield f"kubectl describe pods {here} {chosen}", "why the canary's pods are not ready"
        case LookAt.CANARY_PODS:
            events = f"kubectl get events {here} --sort-by=.lastTimestamp"
            yield events, "what happened to the canary's pods in the last hour"
        case LookAt.CRASHED_PODS if pods:
            yield f"kubectl logs {here} {pods[0]} --previous", "the log before the last crash"
        case LookAt.CHECK_JOBS:
            yield f"kubectl get jobs {here} -l canary-controller.dev/check", "the checks' Jobs"
        case LookAt.DEPLOYMENTS:
            yield f"kubectl get deployments {here}", "which Deployments exist"
        case LookAt.TARGET:
            yield f"kubectl describe deployment {target} {here}", "what the target waits for"
        case LookAt.ROUTE:
            yield f"kubectl get {_route_names(view)} {here} -o yaml", "the current route"
        case LookAt.DOCTOR:
            yield "canary doctor", "what is missing, and how to fix it"
        case LookAt.SUSPEND:
            patch = '--type=merge -p \'{"spec":{"suspend":false}}\''
            yield f"kubectl patch canaryrelease {view.name} {here} {patch}", "start the release"
        case _:
            pass


def _route_names(view: ReleaseView) -> str:
    routes = view.spec.traffic.each
    if routes:
        return " ".join(f"{route.kind.lower()}/{route.name}" for route in routes)
    return f"deployment {view.spec.target.name}-canary"
