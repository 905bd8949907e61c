"""Finds when the next time limit ends, for which there is no watch event and no sample."""

from collections.abc import Iterator
from math import inf

from canary.api import Status
from canary.core.rollout.context import SHORTEST_WAIT
from canary.core.rollout.rollback import DRAIN_TIMEOUT
from canary.core.rollout.terminate import CLEANUP_TIMEOUT, TARGET_TIMEOUT
from canary.core.snapshot import Snapshot


def seconds_to_deadline(status: Status, snap: Snapshot) -> float:
    """Return the seconds to the next deadline of the release in `status`; inf if there is none.

    Example: the router has confirmed the weight at 12:00:00, its propagation delay is 5 s, and the
    release's deadline is 12:30:00. At 12:00:02 the answer is 3 (the delay), at 12:00:06 1,794.
    Deadlines in the past are left out: their rules have been tried. So are those for which a rule
    returns the remaining time itself, such as the duration of a step.
    """
    left = (since + seconds - snap.now for since, seconds in _list_deadlines(status, snap))
    return max(min((one for one in left if one >= 0), default=inf), SHORTEST_WAIT)


def _list_deadlines(status: Status, snap: Snapshot) -> Iterator[tuple[float, float]]:
    """Yield since when each time limit runs, and its length in seconds."""
    release, spec = status.release, snap.resource.spec
    if (deleting := snap.resource.deleting_since) is not None:
        yield deleting, TARGET_TIMEOUT
        yield deleting, CLEANUP_TIMEOUT
    if release is None:
        return
    resumed = release.resumed_at or 0.0
    seen = max(release.data_seen_at or 0.0, status.step_started_at or 0.0)
    awaited = release.scaling_since
    limits = (
        (max(release.started_at, resumed), spec.deadline),
        (max(seen, resumed), spec.analysis.no_data_timeout),
        (awaited and max(awaited, resumed), spec.progress_deadline),
        (release.unhold_at, spec.progress_deadline),
        (release.unready_since, spec.analysis.tolerated_incident),
        (release.confirmed_at, spec.traffic.propagation_delay),
        (release.confirmed_at, DRAIN_TIMEOUT),
    )
    yield from ((since, seconds) for since, seconds in limits if since is not None)
