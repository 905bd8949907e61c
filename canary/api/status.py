"""What is: `CanaryRelease.status`, written by the controller; enough to go on after a crash."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from canary.api.fields import Frozen
from canary.api.judge_state import StoredState
from canary.api.reasons import Intent, Phase, Reason, Result, Skip, Verdict


class StatusModel(Frozen):
    """Written by some operator: fields that a newer one added are left out, numbers are finite."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


Time = Annotated[float, Field(ge=0, le=250_000_000_000)]
"""Seconds since the epoch, of a year that a calendar can show."""


class MetricStatus(StatusModel):
    """One metric's standing, for people, and the judge's state, for the next pass."""

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
        """The numbers, by the names that every JSON document of canary has for them."""
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
    """A person's decision to go on without the judge, or without the remaining steps."""

    skip: Skip
    reason: str
    """Why, in the person's words."""
    by: str = ""
    """Who, as the request names them."""
    at: Time
    """Seconds since the epoch."""


class EarlierStable(StatusModel):
    """A template that was stable before the present one."""

    template: str
    until: Time
    """When another template became stable (seconds since the epoch)."""


class Release(StatusModel):
    """The release in flight; absent at rest."""

    template: str
    """Our hash of the user's template that is being released."""
    started_at: Time
    replicas: Annotated[int, Field(ge=0, le=10_000)]
    """Stable's largest replica count so far: the capacity that is kept until the end."""
    failed: Reason | None = None
    """Why it is being rolled back."""
    message: str = ""
    checks: tuple[CheckStatus, ...] = ()
    """Results of the checks before traffic, once all have passed."""
    checked_step: int = -1
    """The last step whose checks have passed."""
    checked_after: bool = False
    """The checks after promotion have ended."""
    confirmed_at: Time | None = None
    """When the router was first seen to have confirmed the present weight."""
    scaling_since: Time | None = None
    """Since when canary pods are awaited; None while none are."""
    judged_from: Time | None = None
    """Start of the range that the judge reads: the canary's first readiness."""
    data_seen_at: Time | None = None
    """When the metrics last said something about the canary."""
    approved_step: int = -1
    pause: Pause | None = None
    unready_since: Time | None = None
    """Since when no canary pod is ready although it had traffic; None while one is."""
    outages: int = 0
    """How often in this step no canary pod was ready while it had traffic."""
    errors_unknown: bool = False
    """Requests were sent where nobody counts them: what they met is not known."""
    reached_step: int = -1
    """The last step whose weight was in effect: it may be given back without a new Pass."""
    resumed_at: Time | None = None
    """When a person last resumed: no-data timeout and deadline count from here."""
    rewrites: int = 0
    """How often a weight that somebody else wrote was corrected."""
    unhold_at: Time | None = None
    """When the target was un-held to roll to the new version."""
    override: Override | None = None
    """What a person skipped on purpose."""
    direct: Reason | None = None
    """How a release ends that rolls the target without a canary: ReturnedToStable or Restarted."""
    restart: bool = False
    """The vetted template is about to get the annotation that restarts its pods."""
    rolled: bool = False
    """The target has finished rolling: what is left is to put things back."""
    peak_weight: Annotated[int, Field(ge=0, le=100)] = 0
    canary_pods: tuple[str, ...] = ()
    """The canary's pods, ten at most, when its traffic was taken away: soon they are gone."""


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
    """The target had begun to roll, and we put the version before back into it."""
    errors_served: float | None = None
    """Failed requests that the canary answered; None where that is not known."""
    analysis: tuple[MetricStatus, ...] = ()
    """The metrics for which it was rolled back, as they stood then."""
    canary_pods: tuple[str, ...] = ()
    """The canary's pods, ten at most, when its traffic was taken away."""
    override: Override | None = None
    """What a person skipped on purpose."""


class Condition(StatusModel):
    """A condition as Kubernetes' API conventions have it."""

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
    """What was stable before the last promotion: where a failed bake goes back to."""
    earlier_stable: tuple[EarlierStable, ...] = ()
    """Templates that were stable before, the newest first: what a rollback window is about."""
    rejected_hash: str | None = None
    release: Release | None = None
    step: Annotated[int, Field(ge=0)] = 0
    """Index of the present step: the first one is 0."""
    current_step: str = ""
    """`2/3` while a release goes through its steps, for people; else empty."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """The weight that is meant to be in the route now (percent)."""
    step_started_at: Time | None = None
    bake_started_at: Time | None = None
    judged_until: Time | None = None
    judge: StoredState = None
    """What the judge remembers of each metric; absent at rest."""
    analysis: tuple[MetricStatus, ...] = ()
    verdict: Verdict | None = None
    """What the judge says of the whole release, for people; absent at rest."""
    handled_request: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    written_at: Time | None = None
    """When this status was written, in flight (seconds since the epoch)."""

    @property
    def canary_hash(self) -> str | None:
        """The template in flight, if any."""
        return self.release.template if self.release else None
