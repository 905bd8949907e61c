"""Computes which deadlines end a wait, and what happens then. Pure."""

from dataclasses import dataclass

from canary.api import Intent, OnInconclusive, Reason
from canary.render.release_view import ReleaseView

_INCONCLUSIVE = {
    OnInconclusive.PAUSE: "the release pauses",
    OnInconclusive.ROLL_BACK: "the release is rolled back",
    OnInconclusive.PROMOTE: "the release is promoted without that evidence",
}


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time at which something happens unless the wait ends earlier."""

    at: float
    """Seconds since the epoch."""
    then: str


def list_deadlines(view: ReleaseView) -> list[Deadline]:
    """Return deadlines, next first; none at rest, and none while a person has to act."""
    status, release = view.status, view.status.release
    if release is None or release.pause is not None:
        return []
    found = {
        Intent.ADVANCE: _in_flight_deadlines,
        Intent.PROMOTE: _promotion_deadlines,
        Intent.BAKE: _bake_deadlines,
    }.get(status.intent)
    return sorted(found(view), key=lambda one: one.at) if found else []


def _in_flight_deadlines(view: ReleaseView) -> list[Deadline]:
    spec, status, release = view.spec, view.status, view.status.release
    if release is None:
        return []
    resumed = release.resumed_at or 0.0
    inconclusive = _INCONCLUSIVE[spec.on_inconclusive]
    deadline = max(release.started_at, resumed) + spec.deadline
    found = [Deadline(deadline, f"{inconclusive} ({Reason.DEADLINE_EXCEEDED})")]
    if status.reason.info.silent:
        since = max(release.data_seen_at or 0.0, status.step_started_at or view.now, resumed)
        found.append(
            Deadline(since + spec.analysis.no_data_timeout, f"{inconclusive} ({status.reason})")
        )
    if release.scaling_since is not None:
        ready = max(release.scaling_since, resumed) + spec.progress_deadline
        found.append(Deadline(ready, f"the release is rolled back ({Reason.NEVER_READY})"))
    if status.step_started_at is not None and status.reason is Reason.HOLDING:
        length = spec.steps[min(status.step, len(spec.steps) - 1)].duration
        found.append(Deadline(status.step_started_at + length, "the step's duration is over"))
    return found


def _promotion_deadlines(view: ReleaseView) -> list[Deadline]:
    release = view.status.release
    if release is None or release.unhold_at is None or release.rolled:
        return []
    end = release.unhold_at + view.spec.progress_deadline
    return [Deadline(end, f"the release is rolled back ({Reason.ROLL_FAILED})")]


def _bake_deadlines(view: ReleaseView) -> list[Deadline]:
    if view.status.bake_started_at is None:
        return []
    return [Deadline(view.status.bake_started_at + view.spec.bake, "the release has ended")]
