"""Builds the conditions of a release by the Kubernetes API conventions.

`kubectl wait`, kstatus, Argo CD and Flux read them without knowing canary: `Stalled` means failed,
`Ready` false means in progress.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from canary.api import CheckMoment, Intent, Phase, Reason, Status, Verdict
from canary.api.judge_state import JudgeState, Restarted, UnreadableState
from canary.api.status import Condition
from canary.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """A condition without its transition time; `holds` is None for Unknown."""

    type: str
    holds: bool | None
    reason: Reason
    message: str = ""


def build_conditions(status: Status, snap: Snapshot) -> tuple[Condition, ...]:
    """Return the conditions of `status`, which is about to be written.

    A condition that did not change keeps its transition time, so time alone causes no write.
    """
    said = (
        _ready_condition(status),
        _progressing_condition(status),
        _held_condition(status, snap),
        _traffic_shifted_condition(status, snap),
        _data_available_condition(status),
        _stalled_condition(status),
        *_capacity_conditions(status, snap),
        *_history_condition(status, snap),
        *_judge_state_conditions(status),
    )
    before = snap.resource.status.conditions
    return keep_transition_times(before, said, snap.now, status.observed_generation)


def keep_transition_times(
    before: Iterable[Condition], said: Iterable[ConditionUpdate], now: float, generation: int
) -> tuple[Condition, ...]:
    """Return each condition with the time (RFC 3339) at which its status last changed."""
    known = {one.type: one for one in before}
    words = {True: "True", False: "False", None: "Unknown"}
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for one in said:
        old, truth = known.get(one.type), words[one.holds]
        since = old.last_transition_time if old and old.status == truth else stamp
        made.append(
            Condition(
                type=one.type,
                status=truth,
                reason=one.reason,
                message=one.message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return tuple(made)


def _ready_condition(status: Status) -> ConditionUpdate:
    """True while the stable version runs and no person has to act."""
    resting = status.phase is Phase.READY and not status.reason.info.stalls
    ready = resting or status.phase is Phase.BAKING
    return ConditionUpdate("Ready", ready, status.reason, status.message)


def _progressing_condition(status: Status) -> ConditionUpdate:
    return ConditionUpdate("Progressing", status.intent is not Intent.REST, status.reason)


def _held_condition(status: Status, snap: Snapshot) -> ConditionUpdate:
    """True while the target does not roll out a changed template by itself."""
    held = snap.target.held if snap.target is not None else None
    return ConditionUpdate("Held", held, status.reason)


def _traffic_shifted_condition(status: Status, snap: Snapshot) -> ConditionUpdate:
    """True once the router has confirmed the weight in the status."""
    route, meant = snap.route, status.weight
    if status.release is None or meant == 0:
        return ConditionUpdate(
            "TrafficShifted", False, status.reason, "The canary gets no traffic."
        )
    if route is None:
        return ConditionUpdate("TrafficShifted", None, status.reason, "The route does not exist.")
    shifted = route.weight == meant and route.confirmed
    said = f"The canary should get {meant} %." + (f" {route.detail}." if route.detail else "")
    return ConditionUpdate("TrafficShifted", shifted, status.reason, said)


def _data_available_condition(status: Status) -> ConditionUpdate:
    """True if every metric has data; unknown while no metric is read."""
    if status.release is None or not status.analysis:
        return ConditionUpdate("DataAvailable", None, status.reason, "No metric is being analyzed.")
    verdicts = {metric.verdict for metric in status.analysis}
    if Verdict.UNAVAILABLE in verdicts:
        return ConditionUpdate("DataAvailable", False, Reason.MONITORING_UNAVAILABLE)
    if Verdict.NO_DATA in verdicts:
        return ConditionUpdate("DataAvailable", False, Reason.NO_DATA)
    return ConditionUpdate("DataAvailable", True, status.reason)


def _capacity_conditions(status: Status, snap: Snapshot) -> tuple[ConditionUpdate, ...]:
    """Present only during a release if another controller owns the autoscaler."""
    owner = snap.target.scaled_by if snap.target is not None else None
    if owner is None or status.release is None:
        return ()
    message = (
        f"{owner} owns the autoscaler and resets its minReplicas, so stable may lose pods"
        " during the release; to prevent that, raise minReplicaCount there."
    )
    return (ConditionUpdate("CapacityKept", False, status.reason, message),)


def _history_condition(status: Status, snap: Snapshot) -> tuple[ConditionUpdate, ...]:
    """Present only during a release with a bake.

    A failed bake restores the previous version from its ReplicaSet. With `revisionHistoryLimit: 0`
    the Deployment controller deletes that ReplicaSet when the rollout is complete.
    """
    spec, target = snap.resource.spec, snap.target
    watched = spec.bake > 0 or bool(spec.checks_at(CheckMoment.AFTER_PROMOTION))
    if target is None or target.keeps_history or not watched or status.release is None:
        return ()
    message = (
        f"Deployment {spec.target.name} has revisionHistoryLimit: 0, so the previous version is "
        "not kept and a failed bake cannot be rolled back: set it to 1 or more."
    )
    return (ConditionUpdate("HistoryKept", False, status.reason, message),)


def _judge_state_conditions(status: Status) -> tuple[ConditionUpdate, ...]:
    """Present only until an analysis whose state could not be read has caught up."""
    match status.judge:
        case UnreadableState(unreadable=why) | JudgeState(restarted=Restarted(why=why)):
            return (
                ConditionUpdate("JudgeStateReadable", False, Reason.JUDGE_STATE_UNREADABLE, why),
            )
        case _:
            return ()


def _stalled_condition(status: Status) -> ConditionUpdate:
    """True if the release waits until a person acts."""
    paused = status.release is not None and status.release.pause is not None
    over = status.phase is Phase.ROLLED_BACK
    stalled = paused or over or status.reason.info.stalls
    return ConditionUpdate("Stalled", stalled, status.reason, status.message if stalled else "")
