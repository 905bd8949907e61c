"""The time limits of the rules: since when each one runs, and for how long.

No watch event and no sample comes when a time limit ends, so the next pass has to come then. Rules
know the time by these limits only (`RuleContext.is_over`), so a pass comes for each of them.

Example: the router has confirmed the weight at 12:00:00, its propagation delay is 5 s, and the
release's deadline is 12:30:00. At 12:00:02 the next limit ends in 3 s (the delay), at 12:00:06 in
1,794 s.
"""

from collections.abc import Iterable
from enum import Enum, auto
from math import inf

from canary.api import Release, Status
from canary.api.spec import Spec

DRAIN_TIMEOUT = 60.0
"""Seconds after weight 0 after which the canary's pods are removed; they finish open requests
within their own grace period."""
CLEANUP_TIMEOUT = 120.0
"""Seconds after which the deletion completes, and reports an incomplete cleanup."""
TARGET_TIMEOUT = 90.0
"""Seconds that a rolling target may take to roll back before the route is restored."""


class TimeLimit(Enum):
    """What a rule waits for."""

    RELEASE = auto()
    """The end of the release: `deadline`."""
    DATA = auto()
    """Metrics with data: `noDataTimeout`."""
    CANARY_PODS = auto()
    """Ready canary pods: `progressDeadline`."""
    TARGET_ROLL = auto()
    """The new version on all pods of the target: `progressDeadline`."""
    OUTAGE = auto()
    """A ready canary pod, during an outage of all of them: `toleratedIncident`."""
    PROPAGATION = auto()
    """The route in effect, after the router confirmed it: `propagationDelay`."""
    DRAIN = auto()
    """The end of the canary's requests."""
    STEP = auto()
    """The step's `duration`."""
    REPLACEMENT = auto()
    """Evidence of a canary that replaces a broken stable: `warmUp` and `toleratedIncident`."""
    BAKE = auto()
    """The end of `bake`."""
    DELETION_ROLL = auto()
    """The previous version on all pods of the target of a deleted release."""
    DELETION = auto()
    """The end of the cleanup of a deleted release."""


Span = tuple[float | None, float]
"""Since when a limit runs (seconds since the epoch; None: it does not), and its length."""


def list_spans(
    status: Status, spec: Spec, deleting_since: float | None = None
) -> dict[TimeLimit, Span]:
    """Return the span of each limit of a release; without one, those of the resource."""
    release, analysis = status.release, spec.analysis
    spans: dict[TimeLimit, Span] = {
        TimeLimit.BAKE: (status.bake_started_at, spec.bake),
        TimeLimit.DELETION_ROLL: (deleting_since, TARGET_TIMEOUT),
        TimeLimit.DELETION: (deleting_since, CLEANUP_TIMEOUT),
    }
    if release is None:
        return spans
    step = spec.steps[min(max(status.step, 0), len(spec.steps) - 1)]
    started = _since_resumed(release, release.started_at)
    pods = _since_resumed(release, release.scaling_since)
    return spans | {
        TimeLimit.RELEASE: (started, spec.deadline),
        TimeLimit.DATA: (_data_since(release, status), analysis.no_data_timeout),
        TimeLimit.CANARY_PODS: (pods, spec.progress_deadline),
        TimeLimit.TARGET_ROLL: (release.unhold_at, spec.progress_deadline),
        TimeLimit.OUTAGE: (release.unready_since, analysis.tolerated_incident),
        TimeLimit.PROPAGATION: (release.confirmed_at, spec.traffic.propagation_delay),
        TimeLimit.DRAIN: (release.confirmed_at, DRAIN_TIMEOUT),
        TimeLimit.STEP: (status.step_started_at, step.duration),
        TimeLimit.REPLACEMENT: (
            release.judged_from,
            analysis.warm_up + analysis.tolerated_incident,
        ),
    }


def seconds_to_deadline(spans: Iterable[Span], now: float) -> float:
    """Return the seconds until the next limit ends; inf if none runs.

    Limits that have ended are left out: their rules have been tried.
    """
    ends = (since + seconds for since, seconds in spans if since is not None)
    return min((end - now for end in ends if end >= now), default=inf)


def _data_since(release: Release, status: Status) -> float | None:
    """Return since when data is missed: since the last sample, but not before the step began."""
    if status.step_started_at is None:
        return None
    return _since_resumed(release, max(release.data_seen_at or 0.0, status.step_started_at))


def _since_resumed(release: Release, since: float | None) -> float | None:
    """Return `since`, or when a person resumed the release, which grants the whole time again."""
    return None if since is None else max(since, release.resumed_at or since)
