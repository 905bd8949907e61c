"""What ends a wait by itself: until when, and what happens then. Pure."""

from dataclasses import dataclass

from canary.api import Intent, OnInconclusive, Reason
from canary.render.release_view import Sight

_INCONCLUSIVE = {
    OnInconclusive.PAUSE: "the release pauses",
    OnInconclusive.ROLL_BACK: "the release is rolled back",
    OnInconclusive.PROMOTE: "the release is promoted without that evidence",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A moment at which something happens unless what is waited for comes before."""

    at: float
    """Seconds since the epoch."""
    then: str


def limits(sight: Sight) -> list[Limit]:
    """The next first; none at rest, and none while a person is waited for."""
    status, release = sight.status, sight.status.release
    if release is None or release.pause is not None:
        return []
    found = {
        Intent.ADVANCE: _under_way,
        Intent.PROMOTE: _rolling,
        Intent.BAKE: _baking,
    }.get(status.intent)
    return sorted(found(sight), key=lambda one: one.at) if found else []


def _under_way(sight: Sight) -> list[Limit]:
    spec, status, release = sight.spec, sight.status, sight.status.release
    if release is None:
        return []
    resumed = release.resumed_at or 0.0
    inconclusive = _INCONCLUSIVE[spec.on_inconclusive]
    deadline = max(release.started_at, resumed) + spec.deadline
    found = [Limit(deadline, f"{inconclusive} ({Reason.DEADLINE_EXCEEDED})")]
    if status.reason.info.silent:
        since = max(release.data_seen_at or 0.0, status.step_started_at or sight.now, resumed)
        found.append(
            Limit(since + spec.analysis.no_data_timeout, f"{inconclusive} ({status.reason})")
        )
    if release.scaling_since is not None:
        ready = max(release.scaling_since, resumed) + spec.progress_deadline
        found.append(Limit(ready, f"the release is rolled back ({Reason.NEVER_READY})"))
    if status.step_started_at is not None and status.reason is Reason.HOLDING:
        length = spec.steps[min(status.step, len(spec.steps) - 1)].duration
        found.append(Limit(status.step_started_at + length, "the step's duration is over"))
    return found


def _rolling(sight: Sight) -> list[Limit]:
    release = sight.status.release
    if release is None or release.unhold_at is None or release.rolled:
        return []
    end = release.unhold_at + sight.spec.progress_deadline
    return [Limit(end, f"the release is rolled back ({Reason.ROLL_FAILED})")]


def _baking(sight: Sight) -> list[Limit]:
    if sight.status.bake_started_at is None:
        return []
    return [Limit(sight.status.bake_started_at + sight.spec.bake, "the release has ended")]
