"""The input of every rule, and the kinds of plans that a rule can return."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from canary.api import (
    HistoryEntry,
    Intent,
    MetricStatus,
    Pause,
    Reason,
    Release,
    Result,
    Skip,
    Status,
    Verdict,
)
from canary.api.analysis import Analysis
from canary.api.spec import Spec, Step
from canary.core.analysis.result import AnalysisResult
from canary.core.plan import REFUSED_PREFIX, Action, Plan
from canary.core.request_counts import count_failed_requests
from canary.core.rollout.time_limits import Span, TimeLimit, list_spans
from canary.core.snapshot import ReleaseRequest, Snapshot

POLL = 1.0
"""Seconds between two passes during a change for which no watch event comes."""
LONGEST_WAIT = 10.0
"""Longest wait for a sample or a change (seconds), in case its watch event is lost."""
SHORTEST_WAIT = 0.05
"""Shortest wait for a sample in seconds."""
SOON = 0.0
"""Only the status changed: continue at once."""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """One reconcile: the snapshot, the analysis, and the status at its start."""

    snap: Snapshot
    judged: AnalysisResult
    status: Status
    request: ReleaseRequest | None = None
    """The command of a person in this reconcile."""

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.snap.now

    @property
    def spec(self) -> Spec:
        """The spec of the release."""
        return self.snap.resource.spec

    @property
    def release(self) -> Release:
        """The release in flight. Raises LookupError without one."""
        if self.status.release is None:
            raise LookupError("expected a release in flight for this rule, found none")
        return self.status.release

    @property
    def step(self) -> Step:
        """The current step."""
        return self.spec.steps[min(max(self.status.step, 0), len(self.spec.steps) - 1)]

    @property
    def settled(self) -> bool:
        """The router confirmed the route, and the propagation delay is over."""
        return self.is_over(TimeLimit.PROPAGATION)

    def seconds_waited(self, limit: TimeLimit) -> float:
        """Return since when a limit runs, in seconds; 0 if it does not."""
        since, _ = self._find_span(limit)
        return 0.0 if since is None else self.now - since

    def seconds_left(self, limit: TimeLimit) -> float:
        """Return the seconds until a limit ends; its whole length if it does not run yet."""
        _, seconds = self._find_span(limit)
        return seconds - self.seconds_waited(limit)

    def is_over(self, limit: TimeLimit) -> bool:
        """Return whether a limit has run, and has ended."""
        since, seconds = self._find_span(limit)
        return since is not None and self.now - since >= seconds

    def _find_span(self, limit: TimeLimit) -> Span:
        return list_spans(self.status, self.spec, self.snap.resource.deleting_since)[limit]

    @property
    def last_message(self) -> str:
        """The last message, unless it is about an earlier refused write."""
        message = self.status.message
        return "" if message.startswith(REFUSED_PREFIX) else message

    def plan(
        self,
        reason: Reason,
        *actions: Action,
        after: float | None = SOON,
        message: str = "",
        **changes: object,
    ) -> Plan:
        """Plan these actions and status changes; `message` defaults to the reason's."""
        status = self.status.model_copy(update={"reason": reason, "message": message, **changes})
        return Plan(status, actions, after)

    def wait(
        self,
        reason: Reason,
        *actions: Action,
        message: str = "",
        after: float | None = None,
        **on: object,
    ) -> Plan:
        """Return a plan that waits `after` seconds, or without it for a change of an object.

        No watch event ends two kinds of waits: those for actions that found nothing to write, and
        those for a router that does not report its state. `on` changes fields of the release.
        """
        release = self.release.model_copy(update=on) if on else self.status.release
        seconds = POLL if after is None else after
        plan = self.plan(reason, *actions, after=seconds, message=message, release=release)
        route = self.snap.route
        announced = after is None and not actions and (route is None or route.confirmed)
        return replace(plan, wait_at_most=LONGEST_WAIT) if announced else plan

    def await_sample(
        self, reason: Reason, message: str = "", within: float | None = None, **on: object
    ) -> Plan:
        """Return a plan that waits for the next sample, at most `within` seconds."""
        interval = self.spec.analysis.interval
        after = max(min(interval, within or interval), SHORTEST_WAIT)
        plan = self.wait(reason, message=message, after=after, **on)
        return replace(plan, wait_at_most=min(within or LONGEST_WAIT, LONGEST_WAIT))

    def pause(self, reason: Reason, *actions: Action, message: str = "", **changes: object) -> Plan:
        """Return a plan that pauses the release; automatic rollback stays active."""
        pause = Pause(reason=reason, since=self.now)
        release = self.release.model_copy(update={"pause": pause, "confirmed_at": None})
        after = self.spec.analysis.interval
        return self.plan(reason, *actions, after=after, message=message, release=release, **changes)

    def build_entry(self, result: Result, reason: Reason, message: str = "") -> HistoryEntry:
        """Return the history entry of the release in flight."""
        release, metrics = self.release, self.status.analysis
        return HistoryEntry(
            template=release.template,
            result=result,
            reason=reason,
            message=message,
            started_at=release.started_at,
            ended_at=self.now,
            peak_weight=release.peak_weight,
            errors_served=_count_errors_served(release, metrics, self.spec.analysis),
            analysis=_select_failed_metrics(metrics, reason)
            if result is Result.ROLLED_BACK
            else (),
            canary_pods=release.canary_pods,
            override=release.override,
            put_back=result is Result.ROLLED_BACK and release.unhold_at is not None,
        )


def _count_errors_served(
    release: Release, metrics: tuple[MetricStatus, ...], analysis: Analysis
) -> float | None:
    """Return the failed requests of a release; 0 if it never got traffic, None if unknown."""
    if release.peak_weight == 0:
        return 0.0
    return None if release.errors_unknown else count_failed_requests(metrics, analysis)


def _select_failed_metrics(
    metrics: tuple[MetricStatus, ...], reason: Reason
) -> tuple[MetricStatus, ...]:
    """Return the failed metrics; if only all together failed, the one with most evidence."""
    failed = tuple(metric for metric in metrics if metric.verdict is Verdict.FAIL)
    if failed or reason is not Reason.WORSE_THAN_STABLE:
        return failed
    return tuple(sorted(metrics, key=lambda metric: -metric.evidence)[:1])


Rule = Callable[[RuleContext], Plan | None]
"""Returns a plan if the rule applies, else None, and the next rule is tried."""


def first_match(rules: tuple[Rule, ...], context: RuleContext) -> Plan:
    """Return the plan of the first rule that applies: the order is the priority."""
    for rule in rules:
        plan = rule(context)
        if plan is not None:
            return plan
    raise LookupError("expected the last rule of the list to return a plan")


def is_stable_lost(ctx: RuleContext) -> bool:
    """Return whether no ReplicaSet has the stable template any more."""
    return ctx.snap.target is not None and ctx.snap.target.stable_lost


def describe_lost_stable(ctx: RuleContext) -> str:
    """Describe what happened to the stable version, and what to do."""
    name, stable, target = ctx.spec.target.name, ctx.status.stable_hash, ctx.snap.target
    if target is not None and target.held:
        return (
            f"The ReplicaSet of the stable template {stable} was deleted, and Deployment {name} "
            "is paused with another template, so its pods are not replaced. Apply the manifests "
            "of the stable version, or promote the new version: canary promote "
            f"{ctx.snap.resource.name} --skip-analysis --reason TEXT."
        )
    return (
        f"Deployment {name} was replaced, or its ReplicaSet deleted, so the stable template "
        f"{stable} is lost. Apply the manifests of the desired version: it becomes stable once "
        "all pods run it and are available."
    )


def describe_override(release: Release) -> str:
    """Describe who skipped what, and why, in one sentence."""
    override = release.override
    if override is None:
        return ""
    what = "the analysis" if override.skip is Skip.ANALYSIS else "the remaining steps"
    return f"{override.by or 'A person'} skipped {what}: {override.reason}"


def is_skipped(ctx: RuleContext, what: Skip) -> bool:
    """Return whether a person skipped this in the release in flight."""
    override = ctx.release.override
    return override is not None and override.skip is what


def canary_replicas(replicas: int, weight: int) -> int:
    """Return the pods that carry `weight` percent of the load of `replicas` pods, rounded up.

    At least two if stable has two, because the effect of one pod cannot be separated from its
    node's.
    """
    return max(ceil(replicas * weight / 100), min(2, replicas))


def canary_size(spec: Spec, replicas: int, weight: int) -> int:
    """Return the pods that the canary needs for `weight` percent beside `replicas` stable pods.

    A router gives the canary its weight whatever the number of pods; without one the number of
    pods is the weight.
    """
    if spec.traffic.replicas is None:
        return canary_replicas(replicas, weight)
    return pods_for_share(replicas, weight)


def pods_for_share(replicas: int, weight: int) -> int:
    """Return the canary pods whose share of all pods is nearest to `weight` percent.

    Stable keeps all of its pods. The canary has at least one, and at most as many as stable, which
    is half of all pods: a larger share would need many times stable's capacity (80 % beside 4 pods
    are 16). Example, beside 4 stable pods:

        20 % -> 1 of 5;  33 % -> 2 of 6;  40 % -> 3 of 7;  50 %, 80 %, 100 % -> 4 of 8
    """
    if replicas == 0 or 2 * weight >= 100:  # noqa: PLR2004 - percent
        return replicas
    exact = int(replicas * weight / (100 - weight))
    nearest = min(exact, exact + 1, key=lambda pods: abs(100 * pods / (pods + replicas) - weight))
    return min(max(nearest, 1), replicas)


def select_vetted_template(status: Status) -> str | None:
    """Return the template that may run on all pods now."""
    release = status.release
    if release is not None and release.rolled and status.intent is Intent.PROMOTE:
        return release.template
    return status.stable_hash
