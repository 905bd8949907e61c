"""One release as stored in the API server, and what follows from it. Pure."""

from dataclasses import dataclass

from canary.api import (
    HistoryEntry,
    Intent,
    Metric,
    MetricStatus,
    Phase,
    Reason,
    Result,
    Spec,
    Status,
)
from canary.api.status import Condition
from canary.errors import ExitCode

_BAD_WHEN = {
    "DataAvailable": "False",
    "Stalled": "True",
    "Held": "False",
    "CapacityKept": "False",
    "HistoryKept": "False",
}
"""Conditions that people should see, and the status at which they should."""


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """The input of status, explain and report."""

    namespace: str
    name: str
    spec: Spec
    status: Status
    now: float
    """Seconds since the epoch."""

    @property
    def title(self) -> str:
        """`prod/auth`."""
        return f"{self.namespace}/{self.name}"

    @property
    def last(self) -> HistoryEntry | None:
        """Return the release that ended last."""
        return self.status.history[0] if self.status.history else None

    @property
    def failed(self) -> HistoryEntry | None:
        """Return the rolled-back release whose template is still in the Deployment."""
        gone = self.status.phase is Phase.ROLLED_BACK
        return self.last if gone and self.last and self.last.result is not Result.PROMOTED else None

    @property
    def under_way(self) -> bool:
        """Return whether a release is in flight or baking."""
        return self.status.release is not None

    def metric(self, name: str) -> Metric | None:
        """Return the metric of this name in the spec."""
        return next((one for one in self.spec.analysis.metrics if one.name == name), None)


def exit_code(status: Status) -> ExitCode:
    """Return the exit code of `canary status` for the current state."""
    match status.phase:
        case Phase.ROLLED_BACK | Phase.ROLLING_BACK:
            return ExitCode.FAILED
        case Phase.PAUSED | Phase.WAITING_FOR_APPROVAL:
            return ExitCode.PAUSED
        case _:
            return ExitCode.OK


def min_seconds_left(view: ReleaseView) -> float | None:
    """Return the minimum number of seconds until the release ends; None if it is not known.

    It is the sum of the remaining step durations (or the rest of `analysis.minDuration` if longer)
    and the bake. Gathering evidence may take longer, and rolling the target is not included.
    """
    spec, status, release = view.spec, view.status, view.status.release
    if status.intent is Intent.BAKE:
        return max(spec.bake - (view.now - (status.bake_started_at or view.now)), 0.0)
    waits = release is None or release.pause is not None or status.reason is Reason.APPROVAL_NEEDED
    if release is None or waits or status.intent is not Intent.ADVANCE:
        return None
    started = status.step_started_at
    held = view.now - started if started is not None else 0.0
    now = spec.steps[min(status.step, len(spec.steps) - 1)].duration
    durations = max(now - held, 0.0) + sum(step.duration for step in spec.steps[status.step + 1 :])
    judged = view.now - release.judged_from if release.judged_from is not None else 0.0
    return max(durations, spec.analysis.min_duration - judged) + spec.bake


def find_bad_conditions(status: Status) -> list[Condition]:
    """Return the conditions that people should see; at rest, none about measurements."""
    return [one for one in status.conditions if _BAD_WHEN.get(one.type) == one.status]


def current_metrics(status: Status) -> tuple[MetricStatus, ...]:
    """Return the metrics of the release in progress; the history has those of earlier ones."""
    return status.analysis if status.release is not None else ()
