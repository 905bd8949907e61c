"""Why a release is where it is: the answer as data, as text, and as a document. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from canary.api import HistoryEntry, Intent, MetricStatus, Phase
from canary.core.next_step import describe_next_step
from canary.core.snapshot import Verb
from canary.render import troubleshooting
from canary.render.allowed_commands import effect, possible
from canary.render.deadlines import limits
from canary.render.proportion import wilson
from canary.render.release_view import Sight, judged
from canary.render.status_text import SCHEMA, metric
from canary.text.format import (
    amount,
    count,
    date_time,
    duration,
    errors_served,
    percent,
    timestamp,
    words_of,
)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the canary, and how it is."""

    name: str
    state: str
    gone: bool = False
    """Nothing is left of it but its name."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question to Prometheus, to paste."""

    key: str
    promql: str


@dataclass(frozen=True, slots=True)
class Around:
    """What the cluster knows beside the release itself; notes say what could not be read."""

    pods: tuple[Pod, ...] = ()
    queries: tuple[Query, ...] = ()
    notes: tuple[str, ...] = ()
    runbook: str | None = None
    """Link to the page of the reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `wrapped` is for prose, what is to be pasted stays in one piece."""

    label: str
    text: str
    wrapped: bool = True
    aside: str = ""
    """What a command does, as the shell's comment behind it."""


def guilty(sight: Sight) -> tuple[MetricStatus, ...]:
    """The metrics that are behind what is so now; those of the rollback, where there was one."""
    if sight.failed is not None:
        return sight.failed.analysis
    failing = tuple(one for one in judged(sight.status) if one.reason is not None)
    return failing or judged(sight.status)


def explained(sight: Sight, around: Around) -> Iterator[Line]:
    """All of it, in the order in which a person asks."""
    yield from _where(sight)
    yield from _why(sight)
    if sight.failed is not None:
        yield from _rejected(sight, sight.failed)
    elif sight.under_way:
        yield from _waits(sight)
    for one in guilty(sight):
        yield from _metric(one, sight.status.message)
    yield from _around(around)
    yield from _actions(sight, around)


def _where(sight: Sight) -> Iterator[Line]:
    status = sight.status
    step = (
        f", step {status.step + 1} of {len(sight.spec.steps)}"
        if status.intent is Intent.ADVANCE
        else ""
    )
    weight = f" at {status.weight} %" if status.weight else ""
    yield Line(sight.title, f"{words_of(status.phase)}{weight}{step}")


def _why(sight: Sight) -> Iterator[Line]:
    status = sight.status
    yield Line("reason", f"{status.reason}: {status.reason.info.sentence}")
    if status.message and status.message != status.reason.info.sentence:
        yield Line("", status.message)
    if status.release is not None and status.release.pause is not None:
        pause = status.release.pause
        yield Line("since", f"{date_time(pause.since)} ({duration(sight.now - pause.since)} ago)")


def _rejected(sight: Sight, entry: HistoryEntry) -> Iterator[Line]:
    ago, ran = duration(sight.now - entry.ended_at), duration(entry.ended_at - entry.started_at)
    yield Line(
        "when", f"{date_time(entry.started_at)} to {date_time(entry.ended_at)}: {ran}, {ago} ago"
    )
    yield Line("version", f"{entry.template} was compared with {sight.status.stable_hash}")
    yield Line(
        "reached",
        f"at most {entry.peak_weight} % of the traffic; {errors_served(entry.errors_served)}",
    )


def _waits(sight: Sight) -> Iterator[Line]:
    yield Line("next", describe_next_step(sight.spec, sight.status, sight.now))
    for limit in limits(sight):
        left = limit.at - sight.now
        when = f"in {duration(left)}" if left > 0 else "now"
        yield Line("at latest", f"{date_time(limit.at)} ({when}): {limit.then}")


def _metric(one: MetricStatus, said: str) -> Iterator[Line]:
    yield Line("metric", f"{one.name}: {one.verdict}")
    for side, bad, total in (
        ("canary", one.canary_bad, one.canary_total),
        ("stable", one.stable_bad, one.stable_total),
    ):
        if total > 0:
            low, high = (percent(bound) for bound in wilson(bad, total))
            share = f"{percent(bad / total)} ({low} to {high})"
            yield Line(f"  {side}", f"{count(bad)} of {count(total)} bad: {share}")
    if one.ratio is not None:
        yield Line("  ratio", f"{one.ratio:.3g} times stable's{_between(one)}")
    yield Line("  evidence", f"{amount(one.evidence)}; it fails at {amount(one.threshold)}")
    if one.message and one.message not in said:
        yield Line("  says", one.message)


def _between(one: MetricStatus) -> str:
    if one.ratio_low is None or one.ratio_high is None:
        return ""
    return f" (between {one.ratio_low:.3g} and {one.ratio_high:.3g})"


def _around(around: Around) -> Iterator[Line]:
    for query in around.queries:
        yield Line(f"query {query.key}", query.promql, wrapped=False)
    for pod in around.pods:
        yield Line("pod", f"{pod.name}: {pod.state}")
    for note in around.notes:
        yield Line("note", note)


def _actions(sight: Sight, around: Around) -> Iterator[Line]:
    for number, (command, words) in enumerate(commands(sight, around)):
        yield Line("you can" if number == 0 else "", command, wrapped=False, aside=words)
    if around.runbook is not None:
        yield Line("runbook", around.runbook, wrapped=False)


def asks_for_queries(sight: Sight) -> bool:
    """Whether the numbers themselves are what is in question."""
    failing = sight.failed is not None or sight.status.phase is Phase.ROLLING_BACK
    return failing or sight.status.reason.info.silent


def commands(sight: Sight, around: Around) -> list[tuple[str, str]]:
    """What a person can do now: a command to paste, and what it does."""
    spec, status = sight.spec, sight.status
    asked = [
        (f"canary {verb} {sight.name} -n {sight.namespace}", effect(verb, spec, status))
        for verb in possible(spec, status)
        if verb is not Verb.RESTART  # possible at any time, and no answer to "what now?"
    ]
    pods = [pod.name for pod in around.pods if not pod.gone]
    return [*asked, *troubleshooting.looks(sight, pods)]


def needs_runbook(sight: Sight) -> bool:
    """Whether somebody has to do something, and did not bring it about."""
    status = sight.status
    stuck = status.phase in {Phase.PAUSED, Phase.ROLLED_BACK, Phase.ROLLING_BACK}
    return stuck and not status.reason.info.by_person


def document(sight: Sight, around: Around) -> dict[str, Any]:
    """The same as one JSON document."""
    status, failed = sight.status, sight.failed
    return {
        "schemaVersion": SCHEMA,
        "namespace": sight.namespace,
        "name": sight.name,
        "phase": status.phase,
        "reason": status.reason,
        "sentence": status.reason.info.sentence,
        "message": status.message,
        "next": describe_next_step(sight.spec, status, sight.now) if failed is None else None,
        "limits": [{"at": timestamp(one.at), "then": one.then} for one in limits(sight)],
        "rejected": failed
        and {
            "template": failed.template,
            "stable": status.stable_hash,
            "startedAt": timestamp(failed.started_at),
            "endedAt": timestamp(failed.ended_at),
            "peakWeight": failed.peak_weight,
            "errorsServed": failed.errors_served,
        },
        "metrics": [metric(one) for one in guilty(sight)],
        "queries": [{"key": one.key, "promql": one.promql} for one in around.queries],
        "pods": [{"name": one.name, "state": one.state} for one in around.pods],
        "notes": list(around.notes),
        "commands": [
            {"command": command, "effect": words} for command, words in commands(sight, around)
        ],
        "runbook": around.runbook,
    }
