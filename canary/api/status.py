"""`CanaryRelease.status`, written by the controller. It is sufficient to continue after a crash."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from canary.api.fields import Frozen
from canary.api.judge_state import StoredState
from canary.api.reasons import Intent, Phase, Reason, Result, Skip, Verdict


class StatusModel(Frozen):
    """A part of the status. Unknown fields, which a newer operator may add, are dropped."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


Time = Annotated[float, Field(ge=0, le=250_000_000_000)]
"""Seconds since the epoch, up to the year 9892."""


class MetricStatus(StatusModel):
    """The state of one metric, for people."""

    name: str
    verdict: Verdict = Verdict.NO_DATA
    reason: Reason | None = None
    evidence: float = 0.0
    """The e-value; the canary fails when it reaches `threshold`."""
    threshold: float = 0.0
    canary_total: float = 0.0
    canary_bad: float = 0.0
    stable_total: float = 0.0
    stable_bad: float = 0.0
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    message: str = ""

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures, with the same names in every JSON document of canary."""
        names = (
            "evidence",
            "threshold",
            "canary_total",
            "canary_bad",
            "stable_total",
            "stable_bad",
            "ratio",
            "ratio_low",
            "ratio_high",
        )
        return {to_camel(name): getattr(self, name) for name in names}


class CheckStatus(StatusModel):
    """The result of a check."""

    name: str
    verdict: Verdict = Verdict.CONTINUE
    message: str = ""


class Pause(StatusModel):
    """Why the release waits for a person, and since when (seconds since the epoch)."""

    reason: Reason
    since: Time


class Override(StatusModel):
    """A person's decision to continue without the analysis, or without the remaining steps."""

    skip: Skip
    reason: str
    """The reason that the person gave."""
    by: str = ""
    """The person's name in the command."""
    at: Time
    """Seconds since the epoch."""


class EarlierStable(StatusModel):
    """A template that was stable before the current one."""

    template: str
    until: Time
    """When another template became stable (seconds since the epoch)."""


class Release(StatusModel):
    """The release in progress; absent when idle."""

    template: str
    """Hash of the template that is being released."""
    started_at: Time
    replicas: Annotated[int, Field(ge=0, le=10_000)]
    """Largest number of stable's replicas so far: this capacity is kept until the end."""
    failed: Reason | None = None
    """Why the release is being rolled back."""
    message: str = ""
    checks: tuple[CheckStatus, ...] = ()
    """Results of the checks before traffic, once all have passed."""
    checked_step: int = -1
    """The last step whose checks have passed."""
    checked_after: bool = False
    """The checks after promotion have ended."""
    confirmed_at: Time | None = None
    """When the router confirmed the current weight."""
    scaling_since: Time | None = None
    """When the wait for canary pods began; None if all are ready."""
    judged_from: Time | None = None
    """Start of the analyzed time range: when the canary first became ready."""
    data_seen_at: Time | None = None
    """When the metrics last had data about the canary."""
    approved_step: int = -1
    pause: Pause | None = None
    unready_since: Time | None = None
    """Since when no canary pod is ready although the canary has traffic; None if one is."""
    outages: int = 0
    """How often in this step no canary pod was ready although the canary had traffic."""
    errors_unknown: bool = False
    """Whether requests were sent that no metric counts, so their errors are unknown."""
    reached_step: int = -1
    """The last step whose weight was in effect. It may be set again without a new Pass."""
    resumed_at: Time | None = None
    """When a person last resumed the release; no-data timeout and deadline start from here."""
    rewrites: int = 0
    """How often a weight written by another client was corrected."""
    unhold_at: Time | None = None
    """When the target was resumed to roll out the new version."""
    override: Override | None = None
    """What a person skipped on purpose."""
    direct: Reason | None = None
    """Reason of a rollout without canary: ReturnedToStable or Restarted."""
    restart: bool = False
    """Whether the stable template gets the annotation that restarts its pods."""
    rolled: bool = False
    """Whether the target's rollout has finished, so that only the cleanup remains."""
    peak_weight: Annotated[int, Field(ge=0, le=100)] = 0
    canary_pods: tuple[str, ...] = ()
    """Names of up to ten canary pods when its traffic was removed.

    The pods may not exist for long.
    """


class HistoryEntry(StatusModel):
    """One ended release."""

    template: str
    result: Result
    reason: Reason
    message: str = ""
    started_at: Time
    ended_at: Time
    peak_weight: Annotated[int, Field(ge=0, le=100)] = 0
    put_back: bool = False
    """Whether the target's rollout had begun, and the previous template was restored."""
    errors_served: float | None = None
    """Failed requests of the canary; None if unknown."""
    analysis: tuple[MetricStatus, ...] = ()
    """State of the metrics when they caused the rollback."""
    canary_pods: tuple[str, ...] = ()
    """Names of up to ten canary pods when its traffic was removed."""
    override: Override | None = None
    """What a person skipped on purpose."""


class Condition(StatusModel):
    """A condition according to the Kubernetes API conventions."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class Status(StatusModel):
    """`CanaryRelease.status`."""

    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    reason: Reason = Reason.TARGET_NOT_STABLE
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    intent: Intent = Intent.REST
    stable_hash: str | None = None
    previous_hash: str | None = None
    """Hash of the stable template before the last promotion; a failed bake rolls back to it."""
    earlier_stable: tuple[EarlierStable, ...] = ()
    """Earlier stable templates, newest first, for the rollback window."""
    rejected_hash: str | None = None
    release: Release | None = None
    step: Annotated[int, Field(ge=0)] = 0
    """Index of the current step, from 0."""
    current_step: str = ""
    """`2/3` while a release goes through its steps, for people; else empty."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """The weight that the route should have now (percent)."""
    step_started_at: Time | None = None
    bake_started_at: Time | None = None
    judged_until: Time | None = None
    judge: StoredState = None
    """State of the analysis per metric; absent when idle."""
    analysis: tuple[MetricStatus, ...] = ()
    verdict: Verdict | None = None
    """Verdict over all metrics, for people; absent when idle."""
    handled_request: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    written_at: Time | None = None
    """When this status was written (seconds since the epoch); only during a release."""

    @property
    def canary_hash(self) -> str | None:
        """Hash of the template in progress, if any."""
        return self.release.template if self.release else None
