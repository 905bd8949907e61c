"""Builds the timeline of a release from its history, its Events and its moments. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from canary.api import HistoryEntry, Result, format_duration
from canary.core.request_counts import count_bad_requests
from canary.render.explain import Diagnostics
from canary.render.release_view import ReleaseView, current_metrics
from canary.render.timeline import Moment, ReleaseDecision, Timeline
from canary.render.timeline import ReleaseSummary as Ended
from canary.text.format import format_date_time

_WEIGHT = re.compile(r" \(weight (\d+) %\)$")
BEFORE, AFTER = 60.0, 60.0
"""Seconds before and after the release that the charts show."""


@dataclass(frozen=True, slots=True)
class ReleasePeriod:
    """Start and end of the reported release, in seconds since the epoch."""

    began: float
    ended: float | None
    """None while the release is in progress."""
    entry: HistoryEntry | None


def find_period(view: ReleaseView) -> ReleasePeriod | None:
    """Return the release in progress, else the last one that ended; None if there was none."""
    release = view.status.release
    if release is not None:
        return ReleasePeriod(release.started_at, None, None)
    if view.last is None:
        return None
    return ReleasePeriod(view.last.started_at, view.last.ended_at, view.last)


def read_decisions(
    events: Sequence[Mapping[str, Any]], span: ReleasePeriod, now: float
) -> list[ReleaseDecision]:
    """Return the decisions of the release from its Events, in order; always includes its end."""
    until = (span.ended if span.ended is not None else now) + AFTER
    told = (
        sorted((_event_time(event), event) for event in events if _event_time(event) is not None)
        if events
        else []
    )
    found = [
        _read_decision(event, at - span.began)
        for at, event in told
        if at is not None and span.began - 1 <= at <= until
    ]
    entry = span.entry
    if entry is not None and all(one.phase != entry.result for one in found):
        if not found:
            found.append(
                ReleaseDecision(0.0, 0, "Preparing", "Started", "A new template was found.")
            )
        end = entry.ended_at - span.began
        found.append(
            ReleaseDecision(
                end, 0, entry.result, entry.reason, entry.message or "The release ended."
            )
        )
    return found


def _event_time(event: Mapping[str, Any]) -> float | None:
    text = event.get("eventTime") or event.get("deprecatedLastTimestamp")
    return datetime.fromisoformat(text).timestamp() if text else None


def _read_decision(event: Mapping[str, Any], time: float) -> ReleaseDecision:
    note = str(event.get("note", ""))
    weight = _WEIGHT.search(note)
    return ReleaseDecision(
        time=time,
        weight=int(weight[1]) if weight else 0,
        phase=str(event.get("action", "")),
        reason=str(event.get("reason", "")),
        sentence=_WEIGHT.sub("", note),
    )


def weight_moments(
    found: Sequence[ReleaseDecision], span: ReleasePeriod, now: float
) -> list[Moment]:
    """Return moments with only the weight, for a report without Prometheus."""
    end = (span.ended if span.ended is not None else now) - span.began
    times = sorted({-BEFORE, *(one.time for one in found), end, end + AFTER})
    return [build_moment(time, found) for time in times]


def build_moment(time: float, found: Sequence[ReleaseDecision], **more: Any) -> Moment:  # noqa: ANN401 - fields of Moment
    """Build a moment with the weight, phase and reason of the last decision before it."""
    last = next((one for one in reversed(found) if one.time <= time), None)
    if last is None:
        return Moment(time, 0, "Ready", "AtRest", "", "", **more)
    return Moment(time, last.weight, last.phase, last.reason, last.sentence, "", **more)


def build_timeline(
    view: ReleaseView,
    span: ReleasePeriod,
    moments: Sequence[Moment],
    found: Sequence[ReleaseDecision],
    around: Diagnostics,
) -> Timeline:
    """Return the timeline for the report."""
    return Timeline(
        title=f"Release {view.title}, {format_date_time(span.began)}",
        guarded=True,
        facts=_build_facts(view, span, around),
        moments=tuple(moments),
        decisions=tuple(found),
        result=_build_summary(view, span, moments, found),
    )


def _build_summary(
    view: ReleaseView,
    span: ReleasePeriod,
    moments: Sequence[Moment],
    found: Sequence[ReleaseDecision],
) -> Ended:
    entry, status = span.entry, view.status
    figures = entry.analysis if entry is not None else current_metrics(status)
    counted = count_bad_requests(figures, view.spec.analysis)
    shares = [pool.share for one in moments for pool in one.pools]
    back = next((one.time for one in found if one.phase == "RollingBack"), None)
    return Ended(
        ended=entry.result if entry is not None else status.phase,
        reason=entry.reason if entry is not None else status.reason,
        sentence=_summary_sentence(entry) if entry is not None else status.message,
        requests=round(counted.total) if counted else 0,
        failed=round(counted.bad) if counted else 0,
        happened=counted.happened if counted else "failed",
        users=0,
        users_hit=0,
        detected_after=back,
        weight_zero_after=back,
        peak_weight=entry.peak_weight if entry is not None else status.weight,
        peak_pool=max(shares, default=None),
        noun="requests to the canary",
    )


def _summary_sentence(entry: HistoryEntry) -> str:
    if entry.result is Result.PROMOTED:
        return "the new version passed every step and is now stable"
    return entry.message or entry.reason


def _build_facts(view: ReleaseView, span: ReleasePeriod, around: Diagnostics) -> dict[str, str]:
    spec, status, entry = view.spec, view.status, span.entry
    template = entry.template if entry is not None else status.canary_hash or ""
    ended = format_date_time(span.ended) if span.ended is not None else "still in progress"
    facts = {
        "Release": view.title,
        "Deployment": spec.target.name,
        "New template": template,
        "Stable template": status.stable_hash or "",
        "Began": format_date_time(span.began),
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
