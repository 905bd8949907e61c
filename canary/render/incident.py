"""A release of a cluster as a timeline: from its history, its Events and its moments. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from canary.api import HistoryEntry, Result, format_duration
from canary.render.explain import Around
from canary.render.release_view import Sight, judged
from canary.render.timeline import Decision, Moment, Timeline
from canary.render.timeline import Result as Ended
from canary.text.format import date_time

_WEIGHT = re.compile(r" \(weight (\d+) %\)$")
BEFORE, AFTER = 60.0, 60.0
"""Seconds around the release that belong to its picture."""


@dataclass(frozen=True, slots=True)
class Span:
    """The release that is reported: seconds since the epoch."""

    began: float
    ended: float | None
    """None while it is under way."""
    entry: HistoryEntry | None


def span_of(sight: Sight) -> Span | None:
    """The release under way, else the last one that ended; None where there was none."""
    release = sight.status.release
    if release is not None:
        return Span(release.started_at, None, None)
    if sight.last is None:
        return None
    return Span(sight.last.started_at, sight.last.ended_at, sight.last)


def decisions(events: Sequence[Mapping[str, Any]], span: Span, now: float) -> list[Decision]:
    """What people were told of this release, in its order; its end is there in any case."""
    until = (span.ended if span.ended is not None else now) + AFTER
    told = (
        sorted((_at(event), event) for event in events if _at(event) is not None) if events else []
    )
    found = [
        _decision(event, at - span.began)
        for at, event in told
        if at is not None and span.began - 1 <= at <= until
    ]
    entry = span.entry
    if entry is not None and all(one.phase != entry.result for one in found):
        if not found:
            found.append(Decision(0.0, 0, "Preparing", "Started", "A new template was seen."))
        end = entry.ended_at - span.began
        found.append(Decision(end, 0, entry.result, entry.reason, entry.message or "It ended."))
    return found


def _at(event: Mapping[str, Any]) -> float | None:
    text = event.get("eventTime") or event.get("deprecatedLastTimestamp")
    return datetime.fromisoformat(text).timestamp() if text else None


def _decision(event: Mapping[str, Any], time: float) -> Decision:
    note = str(event.get("note", ""))
    weight = _WEIGHT.search(note)
    return Decision(
        time=time,
        weight=int(weight[1]) if weight else 0,
        phase=str(event.get("action", "")),
        reason=str(event.get("reason", "")),
        sentence=_WEIGHT.sub("", note),
    )


def weights(found: Sequence[Decision], span: Span, now: float) -> list[Moment]:
    """Moments that know the weight and nothing else: for a report without Prometheus."""
    end = (span.ended if span.ended is not None else now) - span.began
    times = sorted({-BEFORE, *(one.time for one in found), end, end + AFTER})
    return [moment(time, found) for time in times]


def moment(time: float, found: Sequence[Decision], **more: Any) -> Moment:  # noqa: ANN401 - fields of Moment
    """One look: weight, phase and reason are those of the last decision before."""
    last = next((one for one in reversed(found) if one.time <= time), None)
    if last is None:
        return Moment(time, 0, "Ready", "AtRest", "", "", **more)
    return Moment(time, last.weight, last.phase, last.reason, last.sentence, "", **more)


def timeline(
    sight: Sight, span: Span, moments: Sequence[Moment], found: Sequence[Decision], around: Around
) -> Timeline:
    """All of it, for the report."""
    return Timeline(
        title=f"Release {sight.title}, {date_time(span.began)}",
        guarded=True,
        facts=_facts(sight, span, around),
        moments=tuple(moments),
        decisions=tuple(found),
        result=_result(sight, span, moments, found),
    )


def _result(
    sight: Sight, span: Span, moments: Sequence[Moment], found: Sequence[Decision]
) -> Ended:
    entry, status = span.entry, sight.status
    figures = entry.analysis if entry is not None else judged(status)
    counted = max(figures, key=lambda one: one.canary_total, default=None)
    shares = [pool.share for one in moments for pool in one.pools]
    back = next((one.time for one in found if one.phase == "RollingBack"), None)
    return Ended(
        ended=entry.result if entry is not None else status.phase,
        reason=entry.reason if entry is not None else status.reason,
        sentence=_sentence(entry) if entry is not None else status.message,
        requests=round(counted.canary_total) if counted else 0,
        failed=round(counted.canary_bad) if counted else 0,
        users=0,
        users_hit=0,
        detected_after=back,
        weight_zero_after=back,
        peak_weight=entry.peak_weight if entry is not None else status.weight,
        peak_pool=max(shares, default=None),
        noun="requests to the canary",
    )


def _sentence(entry: HistoryEntry) -> str:
    if entry.result is Result.PROMOTED:
        return "the new version passed every step and is now stable"
    return entry.message or entry.reason


def _facts(sight: Sight, span: Span, around: Around) -> dict[str, str]:
    spec, status, entry = sight.spec, sight.status, span.entry
    template = entry.template if entry is not None else status.canary_hash or ""
    ended = date_time(span.ended) if span.ended is not None else "still under way"
    facts = {
        "Release": sight.title,
        "Deployment": spec.target.name,
        "New template": template,
        "Stable template": status.stable_hash or "",
        "Began": date_time(span.began),
        "Ended": ended,
        "Steps": ", ".join(
            f"{one.weight} % for {format_duration(one.duration)}" for one in spec.steps
        ),
        "Judged every": format_duration(spec.analysis.interval),
    }
    for pod in around.pods:
        facts[f"Canary pod {pod.name}"] = pod.state
    for query in around.queries:
        facts[f"PromQL {query.key}"] = query.promql
    for number, note in enumerate(around.notes, start=1):
        facts[f"Note {number}"] = note
    if around.runbook is not None:
        facts["Runbook"] = around.runbook
    return {name: text for name, text in facts.items() if text}
