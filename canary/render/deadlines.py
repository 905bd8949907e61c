"""Computes which deadlines end a wait, and what happens then. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from canary.api import Intent, OnInconclusive, Reason
from canary.core.rollout.time_limits import TimeLimit, list_spans
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


def _in_flight_deadlines(view: ReleaseView) -> Iterator[Deadline]:
    inconclusive, reason = _INCONCLUSIVE[view.spec.on_inconclusive], view.status.reason
    yield from _end_of(TimeLimit.RELEASE, view, f"{inconclusive} ({Reason.DEADLINE_EXCEEDED})")
    if reason.info.silent:
        yield from _end_of(TimeLimit.DATA, view, f"{inconclusive} ({reason})")
    rolled_back = f"the release is rolled back ({Reason.NEVER_READY})"
    yield from _end_of(TimeLimit.CANARY_PODS, view, rolled_back)
    if reason is Reason.HOLDING:
        yield from _end_of(TimeLimit.STEP, view, "the step's duration is over")


def _promotion_deadlines(view: ReleaseView) -> Iterator[Deadline]:
    if view.status.release is not None and not view.status.release.rolled:
        rolled_back = f"the release is rolled back ({Reason.ROLL_FAILED})"
        yield from _end_of(TimeLimit.TARGET_ROLL, view, rolled_back)


def _bake_deadlines(view: ReleaseView) -> Iterator[Deadline]:
    yield from _end_of(TimeLimit.BAKE, view, "the release has ended")


def _end_of(limit: TimeLimit, view: ReleaseView, then: str) -> Iterator[Deadline]:
    """Yield the end of a limit that runs."""
    since, seconds = list_spans(view.status, view.spec)[limit]
    if since is not None:
        yield Deadline(since + seconds, then)
