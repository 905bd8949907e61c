"""Phases, verdicts and reasons: the same constants in conditions, Events, logs and reports.

A new reason is one member of `Reason`, one row of `REASONS` and, where it rolls a release back or
holds it, one page in docs/runbooks.
"""

from dataclasses import dataclass
from enum import StrEnum, auto


class Phase(StrEnum):
    """Phase of a release, for people. It is computed from the status; no decision depends on it."""

    PENDING = "Pending"
    READY = "Ready"
    PREPARING = "Preparing"
    CHECKING = "Checking"
    PROGRESSING = "Progressing"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    BAKING = "Baking"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    TERMINATING = "Terminating"


class Verdict(StrEnum):
    """Result of the analysis. Only Pass raises the weight, only Fail rolls back."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    CONTINUE = "Continue"
    """Not enough evidence yet."""
    NO_DATA = "NoData"
    """The query works but returns no series."""
    UNAVAILABLE = "Unavailable"
    """The monitoring system could not be queried."""


class Intent(StrEnum):
    """Direction of a release: the only status field that controls what happens next."""

    REST = "Rest"
    ADVANCE = "Advance"
    PROMOTE = "Promote"
    BAKE = "Bake"
    ROLL_BACK = "RollBack"


class Skip(StrEnum):
    """What a person may skip when promoting."""

    ANALYSIS = "Analysis"
    """The analysis, checks and steps. Crashes and outages still roll back."""
    STEPS = "Steps"
    """The remaining steps. The analysis continues."""


class Result(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class Reason(StrEnum):
    """Why a release is in its state; `REASONS` has the properties of each reason."""

    # idle
    AT_REST = "AtRest"
    ADOPTED = "Adopted"
    SUSPENDED = "Suspended"
    REJECTED = "Rejected"
    PROMOTED = "Promoted"
    INVALID_SPEC = "InvalidSpec"
    API_REFUSED = "ApiRefused"
    REQUEST_IGNORED = "RequestIgnored"
    NOTIFICATION_FAILED = "NotificationFailed"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_NOT_STABLE = "TargetNotStable"
    TARGET_SCALED_TO_ZERO = "TargetScaledToZero"
    TARGET_TAKEN = "TargetTaken"
    NAME_TAKEN = "NameTaken"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    SERVICE_SELECTS_NO_POD = "ServiceSelectsNoPod"
    NOT_ISOLATED = "NotIsolated"
    ROUTE_NOT_FOUND = "RouteNotFound"
    DELETED = "Deleted"
    ROLLED_OUT_WITHOUT_CANARY = "RolledOutWithoutCanary"
    RETURNED_TO_STABLE = "ReturnedToStable"
    RESTARTED = "Restarted"
    UNKNOWN = "Unknown"
    # in progress
    STARTED = "Started"
    CANARY_NOT_READY = "CanaryNotReady"
    CHECKS_RUNNING = "ChecksRunning"
    SHIFTING_TRAFFIC = "ShiftingTraffic"
    HOLDING = "Holding"
    GATHERING_EVIDENCE = "GatheringEvidence"
    STEP_PASSED = "StepPassed"
    ANALYSIS_SKIPPED = "AnalysisSkipped"
    STEPS_SKIPPED = "StepsSkipped"
    RETURNING_TO_STABLE = "ReturningToStable"
    RESTARTING = "Restarting"
    APPROVAL_NEEDED = "ApprovalNeeded"
    ROLLING_TARGET = "RollingTarget"
    RESTORING_ROUTE = "RestoringRoute"
    DRAINING = "Draining"
    BAKING = "Baking"
    # waiting for something other than the canary
    NO_DATA = "NoData"
    MONITORING_UNAVAILABLE = "MonitoringUnavailable"
    JUDGE_STATE_UNREADABLE = "JudgeStateUnreadable"
    STABLE_UNHEALTHY = "StableUnhealthy"
    REPLACING_UNHEALTHY_STABLE = "ReplacingUnhealthyStable"
    TRAFFIC_NOT_SHIFTED = "TrafficNotShifted"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    CONTESTED = "Contested"
    PAUSED_BY_PERSON = "PausedByPerson"
    INCONCLUSIVE = "Inconclusive"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CHECK_INCONCLUSIVE = "CheckInconclusive"
    # rolled back
    STATUS_UNREADABLE = "StatusUnreadable"
    WORSE_THAN_STABLE = "WorseThanStable"
    ABOVE_LIMIT = "AboveLimit"
    CANARY_OUTAGE = "CanaryOutage"
    POOL_SATURATED = "PoolSaturated"
    POOL_EXHAUSTED = "PoolExhausted"
    CONNECTION_LEAK = "ConnectionLeak"
    CONNECTIONS_WAITING = "ConnectionsWaiting"
    OUT_OF_BOUNDS = "OutOfBounds"
    CRASH_LOOPING = "CrashLooping"
    OUT_OF_MEMORY = "OutOfMemory"
    NEVER_READY = "NeverReady"
    CHECK_FAILED = "CheckFailed"
    ABORTED = "Aborted"
    UNDONE = "Undone"
    UNPAUSED_BY_HAND = "UnpausedByHand"
    STABLE_LOST = "StableLost"
    TEMPLATE_CHANGED = "TemplateChanged"
    ROLL_FAILED = "RollFailed"

    @property
    def info(self) -> "ReasonInfo":
        """The properties of this reason."""
        return REASONS[self]


class ReasonKind(StrEnum):
    """What kind of state a reason describes."""

    IDLE = auto()
    """No release is in progress, and nothing is wrong."""
    OBSTACLE = auto()
    """No release can start until somebody fixes something."""
    PROGRESS = auto()
    """The release continues by itself."""
    HELD = auto()
    """The weight does not rise, for a cause other than the canary."""
    ROLLBACK = auto()
    """The release is being rolled back, or was."""
    EVENT = auto()
    """Only in an Event or a condition; it does not change the release."""


class LookAt(StrEnum):
    """Where to look first for the cause."""

    CANARY_PODS = auto()
    CRASHED_PODS = auto()
    CHECK_JOBS = auto()
    DEPLOYMENTS = auto()
    """The list of Deployments."""
    TARGET = auto()
    ROUTE = auto()
    DOCTOR = auto()
    """`canary doctor` names the cause and the remedy."""
    SUSPEND = auto()
    """The field spec.suspend."""


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """Properties of one reason."""

    sentence: str
    """Explanation for people; the default of the status message."""
    kind: ReasonKind
    next_step: str = ""
    """What the controller does next, such as "waits for the checks".

    Empty: it depends on the step.
    """
    look_at: LookAt | None = None
    stalls: bool = False
    """Whether no release can start before this is fixed; sets the condition Stalled to true."""
    needs_person: bool = False
    """Whether a release with this reason eventually pauses for a person."""
    inconclusive: bool = False
    """Whether it is unknown if the version is good: `canary gate` exits with 6 instead of 5."""
    silent: bool = False
    """Whether the no-data timeout limits the wait."""
    by_person: bool = False
    """Whether a person caused it, so no alert is needed."""
    without_analysis: bool = False
    """Whether this rolls back without a failed metric, as for broken pods, checks and commands."""
    about_pool: bool = False
    """Whether the cause is the canary's connection pool."""
    holds_weight: bool = False
    """Whether an alert fires if the weight is frozen for long for this reason."""


REASONS: dict[Reason, ReasonInfo] = {
    Reason.AT_REST: ReasonInfo(
        "The stable version runs on all pods; a new template starts a release.", ReasonKind.IDLE
    ),
    Reason.ADOPTED: ReasonInfo(
        "The running version was recorded as stable; no pod was restarted.", ReasonKind.IDLE
    ),
    Reason.SUSPENDED: ReasonInfo(
        "A new template is waiting, but the release is suspended.",
        ReasonKind.IDLE,
        next_step="waits until the release is no longer suspended",
        look_at=LookAt.SUSPEND,
    ),
    Reason.REJECTED: ReasonInfo(
        "This template was rolled back; a different template, or a retry, starts a release.",
        ReasonKind.ROLLBACK,
    ),
    Reason.PROMOTED: ReasonInfo(
        "The new version passed every step and is now stable.", ReasonKind.IDLE
    ),
    Reason.INVALID_SPEC: ReasonInfo(
        "The spec is invalid; the controller changes nothing.", ReasonKind.OBSTACLE, stalls=True
    ),
    Reason.API_REFUSED: ReasonInfo(
        "The API server refused a request that the release needs.",
        ReasonKind.EVENT,
        look_at=LookAt.DOCTOR,
    ),
    Reason.REQUEST_IGNORED: ReasonInfo(
        "The request annotation could not be parsed and was ignored.", ReasonKind.EVENT
    ),
    Reason.NOTIFICATION_FAILED: ReasonInfo(
        "A notification could not be delivered; the release continues.", ReasonKind.EVENT
    ),
    Reason.TARGET_NOT_FOUND: ReasonInfo(
        "The target does not exist.",
        ReasonKind.OBSTACLE,
        next_step="waits for the target to exist",
        look_at=LookAt.DEPLOYMENTS,
        stalls=True,
    ),
    Reason.TARGET_NOT_STABLE: ReasonInfo(
        "The target is rolling out; canary manages it once the rollout ends.",
        ReasonKind.IDLE,
        next_step="manages the target once its rollout has ended",
        look_at=LookAt.TARGET,
    ),
    Reason.TARGET_SCALED_TO_ZERO: ReasonInfo(
        "The target has no replicas, so there is no traffic to split.",
        ReasonKind.IDLE,
        next_step="waits until the target has replicas",
        look_at=LookAt.TARGET,
    ),
    Reason.TARGET_TAKEN: ReasonInfo(
        "Another CanaryRelease or controller already manages this target.",
        ReasonKind.OBSTACLE,
        stalls=True,
    ),
    Reason.NAME_TAKEN: ReasonInfo(
        "An object that canary did not create has the name that the canary needs.",
        ReasonKind.OBSTACLE,
        stalls=True,
    ),
    Reason.SERVICE_NOT_FOUND: ReasonInfo(
        "The Service that the target's clients call does not exist.",
        ReasonKind.OBSTACLE,
        look_at=LookAt.DOCTOR,
        stalls=True,
    ),
    Reason.SERVICE_SELECTS_NO_POD: ReasonInfo(
        "The Service has no port, or sends traffic to one that no running pod has.",
        ReasonKind.OBSTACLE,
        look_at=LookAt.DOCTOR,
        stalls=True,
    ),
    Reason.NOT_ISOLATED: ReasonInfo(
        "A Service other than the canary's own selects canary pods.",
        ReasonKind.ROLLBACK,
        look_at=LookAt.DOCTOR,
        stalls=True,
        without_analysis=True,
    ),
    Reason.ROUTE_NOT_FOUND: ReasonInfo(
        "The route does not exist, so no weight can be written.",
        ReasonKind.OBSTACLE,
        next_step="waits for the route to exist",
        look_at=LookAt.ROUTE,
        stalls=True,
    ),
    Reason.DELETED: ReasonInfo(
        "The CanaryRelease is being deleted; the route and the target are being restored.",
        ReasonKind.IDLE,
    ),
    Reason.ROLLED_OUT_WITHOUT_CANARY: ReasonInfo(
        "A template was rolled out without analysis and now runs on all pods.", ReasonKind.IDLE
    ),
    Reason.RETURNED_TO_STABLE: ReasonInfo(
        "An earlier stable version runs on all pods again.", ReasonKind.IDLE
    ),
    Reason.RESTARTED: ReasonInfo("The pods of the stable version were restarted.", ReasonKind.IDLE),
    Reason.UNKNOWN: ReasonInfo(
        "The status has a reason that this version of the operator does not know.", ReasonKind.IDLE
    ),
    Reason.STARTED: ReasonInfo(
        "A new template was found; the canary is being created.",
        ReasonKind.PROGRESS,
        next_step="creates the canary",
    ),
    Reason.CANARY_NOT_READY: ReasonInfo(
        "The canary's pods are not ready yet.",
        ReasonKind.PROGRESS,
        next_step="waits for the canary's pods, then gives it traffic",
        look_at=LookAt.CANARY_PODS,
        holds_weight=True,
    ),
    Reason.CHECKS_RUNNING: ReasonInfo(
        "The checks for this stage are running.",
        ReasonKind.PROGRESS,
        next_step="waits for the checks",
        look_at=LookAt.CHECK_JOBS,
    ),
    Reason.SHIFTING_TRAFFIC: ReasonInfo(
        "The weight is written; the router has not confirmed it yet.",
        ReasonKind.PROGRESS,
        next_step="waits for the router, then the step's clock starts",
        look_at=LookAt.ROUTE,
        holds_weight=True,
    ),
    Reason.HOLDING: ReasonInfo("The step's duration is not over.", ReasonKind.PROGRESS),
    Reason.GATHERING_EVIDENCE: ReasonInfo(
        "There are too few requests yet to show that the canary is as good as stable.",
        ReasonKind.PROGRESS,
    ),
    Reason.STEP_PASSED: ReasonInfo("The step passed; the next step begins.", ReasonKind.PROGRESS),
    Reason.ANALYSIS_SKIPPED: ReasonInfo(
        "A person skipped the analysis; the version is promoted without it.", ReasonKind.PROGRESS
    ),
    Reason.STEPS_SKIPPED: ReasonInfo(
        "A person skipped the remaining steps; the analysis still decides.", ReasonKind.PROGRESS
    ),
    Reason.RETURNING_TO_STABLE: ReasonInfo(
        "The target rolls back to an earlier stable version.", ReasonKind.PROGRESS
    ),
    Reason.RESTARTING: ReasonInfo(
        "The pods of the stable version are being restarted.", ReasonKind.PROGRESS
    ),
    Reason.APPROVAL_NEEDED: ReasonInfo(
        "The step passed and waits for a person's approval.",
        ReasonKind.HELD,
        next_step="waits for a person's `canary promote`",
    ),
    Reason.ROLLING_TARGET: ReasonInfo(
        "The target rolls out the new version while the canary serves the traffic.",
        ReasonKind.PROGRESS,
        next_step="waits for the target's rollout, then restores the route",
        look_at=LookAt.TARGET,
    ),
    Reason.RESTORING_ROUTE: ReasonInfo(
        "The route is being restored to what the user wrote.",
        ReasonKind.PROGRESS,
        next_step="waits for the router, then removes the canary",
        look_at=LookAt.ROUTE,
    ),
    Reason.DRAINING: ReasonInfo(
        "The canary finishes its last requests.",
        ReasonKind.PROGRESS,
        next_step="removes the canary once it receives no more requests",
    ),
    Reason.BAKING: ReasonInfo(
        "The new version is promoted and is still monitored.", ReasonKind.PROGRESS
    ),
    Reason.NO_DATA: ReasonInfo(
        "The metrics have no data about the canary; the weight stays.",
        ReasonKind.HELD,
        next_step="keeps the weight and waits for data",
        look_at=LookAt.DOCTOR,
        needs_person=True,
        inconclusive=True,
        silent=True,
    ),
    Reason.MONITORING_UNAVAILABLE: ReasonInfo(
        "The monitoring system does not answer; the weight stays.",
        ReasonKind.HELD,
        next_step="keeps the weight and waits for the monitoring system",
        look_at=LookAt.DOCTOR,
        needs_person=True,
        inconclusive=True,
        silent=True,
    ),
    Reason.JUDGE_STATE_UNREADABLE: ReasonInfo(
        "The analysis state could not be read; the analysis starts again and the weight stays.",
        ReasonKind.HELD,
        next_step="keeps the weight until the analysis has caught up",
    ),
    Reason.STABLE_UNHEALTHY: ReasonInfo(
        "Stable fails too, so the canary is not the cause; the weight stays.",
        ReasonKind.HELD,
        next_step="keeps the weight until stable is healthy again",
        needs_person=True,
        inconclusive=True,
        holds_weight=True,
    ),
    Reason.REPLACING_UNHEALTHY_STABLE: ReasonInfo(
        "Stable fails and the canary does not; the steps are shortened.",
        ReasonKind.PROGRESS,
        next_step="promotes in short steps, while it is better than stable",
    ),
    Reason.TRAFFIC_NOT_SHIFTED: ReasonInfo(
        "The canary's share of requests does not match the weight; the weight stays.",
        ReasonKind.HELD,
        next_step="keeps the weight until the traffic follows it",
        look_at=LookAt.ROUTE,
        needs_person=True,
        inconclusive=True,
        silent=True,
        holds_weight=True,
    ),
    Reason.ROUTE_NOT_ACCEPTED: ReasonInfo(
        "The router does not accept the route; the canary gets no traffic.",
        ReasonKind.HELD,
        next_step="keeps the canary without traffic until the router accepts the route",
        look_at=LookAt.ROUTE,
    ),
    Reason.CONTESTED: ReasonInfo(
        "Another controller keeps overwriting the weights; the canary stays at weight 0.",
        ReasonKind.HELD,
        look_at=LookAt.ROUTE,
        needs_person=True,
        holds_weight=True,
    ),
    Reason.PAUSED_BY_PERSON: ReasonInfo(
        "A person paused the release.", ReasonKind.HELD, by_person=True
    ),
    Reason.INCONCLUSIVE: ReasonInfo(
        "There was too little evidence in time; the release waits for a person.",
        ReasonKind.HELD,
        needs_person=True,
        inconclusive=True,
    ),
    Reason.DEADLINE_EXCEEDED: ReasonInfo(
        "The release did not end in time and waits for a person.",
        ReasonKind.HELD,
        needs_person=True,
        inconclusive=True,
    ),
    Reason.CHECK_INCONCLUSIVE: ReasonInfo(
        "A check neither passed nor failed.",
        ReasonKind.HELD,
        look_at=LookAt.CHECK_JOBS,
        needs_person=True,
        inconclusive=True,
    ),
    Reason.STATUS_UNREADABLE: ReasonInfo(
        "A canary without a matching status was found and rolled back.",
        ReasonKind.ROLLBACK,
        without_analysis=True,
    ),
    Reason.WORSE_THAN_STABLE: ReasonInfo(
        "The canary fails more often than stable.", ReasonKind.ROLLBACK
    ),
    Reason.ABOVE_LIMIT: ReasonInfo(
        "The canary fails more often than the limit allows.", ReasonKind.ROLLBACK
    ),
    Reason.CANARY_OUTAGE: ReasonInfo(
        "Half of the canary's requests failed, or none of its pods was ready.",
        ReasonKind.ROLLBACK,
        without_analysis=True,
    ),
    Reason.POOL_SATURATED: ReasonInfo(
        "A canary pod's connection pool is above its limit.", ReasonKind.ROLLBACK, about_pool=True
    ),
    Reason.POOL_EXHAUSTED: ReasonInfo(
        "All connections of a canary pod's pool are in use.", ReasonKind.ROLLBACK, about_pool=True
    ),
    Reason.CONNECTION_LEAK: ReasonInfo(
        "The canary takes connections and never returns them.", ReasonKind.ROLLBACK, about_pool=True
    ),
    Reason.CONNECTIONS_WAITING: ReasonInfo(
        "The canary's requests wait for a database connection.",
        ReasonKind.ROLLBACK,
        about_pool=True,
    ),
    Reason.OUT_OF_BOUNDS: ReasonInfo(
        "A metric of the canary is outside its bounds.", ReasonKind.ROLLBACK
    ),
    Reason.CRASH_LOOPING: ReasonInfo(
        "The canary's pods crash repeatedly.",
        ReasonKind.ROLLBACK,
        look_at=LookAt.CRASHED_PODS,
        without_analysis=True,
    ),
    Reason.OUT_OF_MEMORY: ReasonInfo(
        "A canary pod was killed because it ran out of memory.",
        ReasonKind.ROLLBACK,
        look_at=LookAt.CRASHED_PODS,
        without_analysis=True,
    ),
    Reason.NEVER_READY: ReasonInfo(
        "The canary's pods did not become ready in time.",
        ReasonKind.ROLLBACK,
        look_at=LookAt.CANARY_PODS,
        without_analysis=True,
    ),
    Reason.CHECK_FAILED: ReasonInfo(
        "A check failed.", ReasonKind.ROLLBACK, look_at=LookAt.CHECK_JOBS, without_analysis=True
    ),
    Reason.ABORTED: ReasonInfo(
        "A person aborted the release.", ReasonKind.ROLLBACK, by_person=True, without_analysis=True
    ),
    Reason.UNDONE: ReasonInfo(
        "A person rolled back to an earlier stable version.",
        ReasonKind.ROLLBACK,
        by_person=True,
        without_analysis=True,
    ),
    Reason.UNPAUSED_BY_HAND: ReasonInfo(
        "Somebody resumed the paused target during the release.",
        ReasonKind.ROLLBACK,
        without_analysis=True,
    ),
    Reason.STABLE_LOST: ReasonInfo(
        "No ReplicaSet has the stable template any more, so it cannot be restored.",
        ReasonKind.ROLLBACK,
        next_step="accepts the target's current template as stable once all its pods are available",
        look_at=LookAt.TARGET,
        stalls=True,
        without_analysis=True,
    ),
    Reason.TEMPLATE_CHANGED: ReasonInfo(
        "The template changed during the release; the newer template is next.",
        ReasonKind.ROLLBACK,
        without_analysis=True,
    ),
    Reason.ROLL_FAILED: ReasonInfo(
        "The target did not finish its rollout of the new version in time.",
        ReasonKind.ROLLBACK,
        look_at=LookAt.TARGET,
        without_analysis=True,
    ),
}
