"""`CanaryRelease.spec` as frozen models. The CRD is generated from these."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from canary.api.analysis import Analysis, reject_duplicates
from canary.api.fields import (
    Duration,
    DurationRange,
    Expect,
    Frozen,
    Name,
    ObjectName,
    Url,
    Weight,
    build_field_error,
    format_duration,
)
from canary.api.notify import Notify
from canary.api.traffic import Isolation, ServiceRef, TargetRef, TrafficSpec


class CronJobRef(Frozen):
    """An existing (suspended) CronJob with the label canary-controller.dev/checks=allowed."""

    cron_job: ObjectName
    """Name of the CronJob."""


class Webhook(Frozen):
    """A web service: status 2xx passes, 4xx fails, anything else is inconclusive."""

    url: Url
    """Address for a POST request with the release."""
    timeout: Annotated[float, DurationRange("1s", "1h")] = 10.0
    """Timeout of the request."""


class CheckMoment(StrEnum):
    """When a check runs."""

    BEFORE_TRAFFIC = "BeforeTraffic"
    """The canary is ready and its weight is 0."""
    EACH_STEP = "EachStep"
    """When a step has traffic; the step passes only if the check passes."""
    AFTER_PROMOTION = "AfterPromotion"
    """The new version runs on all pods."""


class Check(Frozen):
    """A check by a Job or a web service: exactly one of `jobFrom` and `webhook`."""

    name: Name
    """Name of the check in status, reports and Events."""
    when: CheckMoment = CheckMoment.BEFORE_TRAFFIC
    """When the check runs. A failure always rolls back."""
    job_from: CronJobRef | None = None
    """Run a Job made from a CronJob: exit code 0 passes, 3 fails, others are inconclusive."""
    webhook: Webhook | None = None
    """Call a web service."""

    @model_validator(mode="after")
    def exactly_one_kind(self) -> Self:
        """Reject a check without exactly one of both; it would pass without running."""
        if (self.job_from is None) == (self.webhook is None):
            found = "none" if self.job_from is None else "both"
            raise build_field_error(f"expected exactly one of jobFrom and webhook, found {found}")
        return self


class Step(Frozen):
    """One weight and its minimum duration."""

    weight: Weight
    """Percentage of traffic for the canary."""
    duration: Duration = 120.0
    """Minimum time at this weight."""
    approval: bool = False
    """Wait for `canary promote` after the step passed."""


class RollbackWindow(Frozen):
    """Which earlier stable versions roll out without steps."""

    releases: Annotated[int, Field(ge=0, le=10), Expect("a whole number from 0 to 10")] = 3
    """Number of earlier stable versions; with 0 every template is analyzed."""
    within: Annotated[float, DurationRange("1m", "744h")] = 86400.0
    """How long after its replacement a version may return without steps."""


class OnInconclusive(StrEnum):
    """What happens if the evidence does not suffice in time."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"
    PROMOTE = "Promote"


def require_rising_weights(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Reject a weight that is not above the one before; it is most likely a typing error."""
    for index in range(1, len(steps)):
        before, after = steps[index - 1].weight, steps[index].weight
        if after <= before:
            raise build_field_error(
                f"expected a weight above the step before, found {after} after {before}",
                index,
                "weight",
            )
    return steps


def require_different_checks(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Reject duplicate names, because results are stored by name."""
    reject_duplicates([check.name for check in checks])
    return checks


class Spec(Frozen):
    """Desired behavior of releases: target, traffic, steps and analysis."""

    target: TargetRef
    """The workload to release."""
    service: ServiceRef | None = None
    """Service that clients call. Defaults to the Service with the name of the target."""
    isolation: Isolation | None = None
    """Labels to change on canary pods. Default: as many as necessary so that no Service selects
    them."""
    traffic: TrafficSpec
    """How traffic is split: exactly one of the router fields."""
    suspend: bool = False
    """Start no new release; a release in progress continues and is still rolled back on failure."""
    checks: Annotated[
        tuple[Check, ...], Field(max_length=20), AfterValidator(require_different_checks)
    ] = ()
    """Smoke tests, load tests and approvals by other systems; a failed check rolls back."""
    steps: Annotated[
        tuple[Step, ...], Field(min_length=1, max_length=20), AfterValidator(require_rising_weights)
    ]
    """Steps with strictly rising weights."""
    bake: Duration = 0.0
    """How long the new version is monitored after promotion."""
    deadline: Annotated[float, DurationRange("1s")] = 7200.0
    """Longest time of a release. After it, `onInconclusive` applies."""
    progress_deadline: Annotated[float, DurationRange("1s")] = 600.0
    """Longest time for canary pods to become ready, and for the target's rollout."""
    analysis: Analysis
    """The metrics to compare, and how certain a decision must be."""
    rollback_window: RollbackWindow = RollbackWindow()
    """A template that was recently stable rolls out without steps, by the target's own strategy."""
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    """What happens if the evidence does not suffice before the deadline."""
    notify: Annotated[tuple[Notify, ...], Field(max_length=20)] = ()
    """Receivers of notifications."""

    def checks_at(self, when: CheckMoment) -> tuple[Check, ...]:
        """Return the checks of one moment, in order."""
        return tuple(check for check in self.checks if check.when is when)

    @model_validator(mode="after")
    def deadline_allows_the_steps(self) -> Self:
        """Reject a deadline that is too short for the steps, as every release would pause."""
        needed = max(sum(step.duration for step in self.steps), self.analysis.min_duration)
        if needed >= self.deadline:
            raise build_field_error(
                f"expected more than {format_duration(needed)} (the longer of all step "
                f"durations together and analysis.minDuration),"
                f""
                f" found {format_duration(self.deadline)}",
                "deadline",
            )
        return self
