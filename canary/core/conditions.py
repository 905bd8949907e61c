"""Conditions as Kubernetes' conventions have them.

So `kubectl wait`, kstatus, Argo CD and Flux know how a release is without knowing us: `Stalled` is
failed, not `Ready` is in progress.
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
    """One condition without its history; `holds` is None where it is unknown."""

    type: str
    holds: bool | None
    reason: Reason
    message: str = ""


def build_conditions(status: Status, snap: Snapshot) -> tuple[Condition, ...]:
    """The conditions of `status`, which is about to be written, in the world of `snap`.

    What did not change keeps its transition time, so nothing is written for the time alone.
    """
    said = (
        _ready_condition(status),
        _progressing_condition(status),
        _held_condition(status, snap),
        _traffic_shifted_condition(status, snap),
        _data_available_condition(status),
        _stalled_condition(status),
        *_capacity_conditions(status, snap),
        *_history(status, snap),
        *_judge_state_conditions(status),
    )
    before = snap.resource.status.conditions
    return keep_transition_times(before, said, snap.now, status.observed_generation)


def keep_transition_times(
    before: Iterable[Condition], said: Iterable[ConditionUpdate], now: float, generation: int
) -> tuple[Condition, ...]:
    """Each condition with the time (RFC 3339) of its last change of status."""
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
    """The vetted version runs, and nothing is asked of anybody."""
    resting = status.phase is Phase.READY and not status.reason.info.stalls
    ready = resting or status.phase is Phase.BAKING
    return ConditionUpdate("Ready", ready, status.reason, status.message)


def _progressing_condition(status: Status) -> ConditionUpdate:
    return ConditionUpdate("Progressing", status.intent is not Intent.REST, status.reason)


def _held_condition(status: Status, snap: Snapshot) -> ConditionUpdate:
    """A template that nobody vetted would not roll."""
    held = snap.target.held if snap.target is not None else None
    return ConditionUpdate("Held", held, status.reason)


def _traffic_shifted_condition(status: Status, snap: Snapshot) -> ConditionUpdate:
    """The router has taken over the weight that is meant for the canary."""
    route, meant = snap.route, status.weight
    if status.release is None or meant == 0:
        return ConditionUpdate(
            "TrafficShifted", False, status.reason, "The canary gets no traffic."
        )
    if route is None:
        return ConditionUpdate("TrafficShifted", None, status.reason, "There is no route to ask.")
    shifted = route.weight == meant and route.confirmed
    said = f"{meant} % is meant for the canary." + (f" {route.detail}." if route.detail else "")
    return ConditionUpdate("TrafficShifted", shifted, status.reason, said)


def _data_available_condition(status: Status) -> ConditionUpdate:
    """Whether the metrics say anything; unknown while nothing is asked."""
    if status.release is None or not status.analysis:
        return ConditionUpdate("DataAvailable", None, status.reason, "Nothing is being measured.")
    verdicts = {metric.verdict for metric in status.analysis}
    if Verdict.UNAVAILABLE in verdicts:
        return ConditionUpdate("DataAvailable", False, Reason.MONITORING_UNAVAILABLE)
    if Verdict.NO_DATA in verdicts:
        return ConditionUpdate("DataAvailable", False, Reason.NO_DATA)
    return ConditionUpdate("DataAvailable", True, status.reason)


def _capacity_conditions(status: Status, snap: Snapshot) -> tuple[ConditionUpdate, ...]:
    """Only during a release, where the autoscaler's floor is not ours to raise."""
    owner = snap.target.scaled_by if snap.target is not None else None
    if owner is None or status.release is None:
        return ()
    message = (
        f"{owner} owns the autoscaler and writes its minReplicas back, so stable may lose pods"
        " while the release runs: raise minReplicaCount there if it must not."
    )
    return (ConditionUpdate("CapacityKept", False, status.reason, message),)


def _history(status: Status, snap: Snapshot) -> tuple[ConditionUpdate, ...]:
    """Only during a release that stays under watch after its promotion.

    A failed bake takes the version before from its ReplicaSet, which the Deployment controller
    deletes as soon as the roll is complete where `revisionHistoryLimit` is 0.
    """
    spec, target = snap.resource.spec, snap.target
    watched = spec.bake > 0 or bool(spec.checks_at(CheckMoment.AFTER_PROMOTION))
    if target is None or target.keeps_history or not watched or status.release is None:
        return ()
    message = (
        f"Deployment {spec.target.name} has revisionHistoryLimit: 0, so the version before is"
        " not kept, and there is no way back from a failed bake: set it to 1 or more."
    )
    return (ConditionUpdate("HistoryKept", False, status.reason, message),)


def _judge_state_conditions(status: Status) -> tuple[ConditionUpdate, ...]:
    """Only while the judge, whose state could not be read, has not caught up."""
    match status.judge:
        case UnreadableState(unreadable=why) | JudgeState(restarted=Restarted(why=why)):
            return (
                ConditionUpdate("JudgeStateReadable", False, Reason.JUDGE_STATE_UNREADABLE, why),
            )
        case _:
            return ()


def _stalled_condition(status: Status) -> ConditionUpdate:
    """Nothing goes on before a person has done something."""
    paused = status.release is not None and status.release.pause is not None
    over = status.phase is Phase.ROLLED_BACK
    stalled = paused or over or status.reason.info.stalls
    return ConditionUpdate("Stalled", stalled, status.reason, status.message if stalled else "")
