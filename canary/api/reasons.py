"""Phases, verdicts and reasons: the same constants in conditions, Events, logs and reports."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a release is, for people: computed from the status, never decided upon."""

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
    """What the judge says of a canary; only Pass raises weight, only Fail takes it away."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    CONTINUE = "Continue"
    """Not enough evidence yet."""
    NO_DATA = "NoData"
    """The query works and nothing is there."""
    UNAVAILABLE = "Unavailable"
    """The monitoring system could not be asked."""


class Intent(StrEnum):
    """The direction a release is going in; the one field of the status that steers."""

    REST = "Rest"
    ADVANCE = "Advance"
    PROMOTE = "Promote"
    BAKE = "Bake"
    ROLL_BACK = "RollBack"


class Skip(StrEnum):
    """What a person may skip on purpose when promoting."""

    ANALYSIS = "Analysis"
    """The judge, the checks and the steps; protection against crashes and outages stays."""
    STEPS = "Steps"
    """The remaining steps; the judge stays."""


class Result(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class Reason(StrEnum):
    """Why; `SENTENCES` says each in one sentence."""

    # at rest
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
    # on the way
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
    # waiting for something that is not the canary's doing
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
    TEMPLATE_CHANGED = "TemplateChanged"
    ROLL_FAILED = "RollFailed"


BY_PERSON = frozenset({Reason.PAUSED_BY_PERSON, Reason.ABORTED, Reason.UNDONE})
"""A person brought it about, so nobody has to be told that something is wrong."""

SENTENCES: dict[Reason, str] = {
    Reason.AT_REST: "The vetted version runs; a new template starts a release.",
    Reason.ADOPTED: "The running version was recorded as stable; no pod was restarted.",
    Reason.SUSPENDED: "A new template is there, but the release is suspended.",
    Reason.REJECTED: "This template was rolled back; a different one, or a retry, starts again.",
    Reason.PROMOTED: "The new version passed every step and is now stable.",
    Reason.REQUEST_IGNORED: "A request by annotation cannot be understood and is left alone.",
    Reason.NOTIFICATION_FAILED: "A receiver could not be told; the release goes on.",
    Reason.INVALID_SPEC: "The spec cannot be followed as it is written; nothing is done.",
    Reason.API_REFUSED: "The API server refused something that the release needs.",
    Reason.TARGET_NOT_FOUND: "The target does not exist.",
    Reason.TARGET_NOT_STABLE: "The target is rolling; it is adopted when that has ended.",
    Reason.TARGET_SCALED_TO_ZERO: "The target has no replicas, so there is no traffic to share.",
    Reason.TARGET_TAKEN: "Another CanaryRelease guards this target already.",
    Reason.NAME_TAKEN: "An object that is not ours has the name that the canary needs.",
    Reason.SERVICE_NOT_FOUND: "The Service that the target's clients call does not exist.",
    Reason.SERVICE_SELECTS_NO_POD: "The Service sends to a port that no running pod has.",
    Reason.NOT_ISOLATED: "Canary pods could not be kept apart from stable ones.",
    Reason.ROUTE_NOT_FOUND: "The route does not exist, so no weight can be written.",
    Reason.DELETED: "The CanaryRelease is being deleted; everything is put back.",
    Reason.ROLLED_OUT_WITHOUT_CANARY: "A template was rolled out past us and now runs everywhere.",
    Reason.RETURNED_TO_STABLE: "A version that was stable before runs again on all pods.",
    Reason.RESTARTED: "The pods of the stable version were restarted.",
    Reason.UNKNOWN: "The status has a reason that this version of the operator does not know.",
    Reason.STARTED: "A new template was seen; the canary is being created.",
    Reason.CANARY_NOT_READY: "The canary's pods are not ready yet.",
    Reason.CHECKS_RUNNING: "The checks that are due are running.",
    Reason.SHIFTING_TRAFFIC: "The weight is written; the router has not confirmed it yet.",
    Reason.HOLDING: "The step's hold time is not over.",
    Reason.GATHERING_EVIDENCE: "Too few requests yet to call the canary as good as stable.",
    Reason.STEP_PASSED: "The step's evidence passed; the next step begins.",
    Reason.ANALYSIS_SKIPPED: "A person skipped the analysis; the version is promoted without it.",
    Reason.STEPS_SKIPPED: "A person skipped the remaining steps; the analysis still decides.",
    Reason.RETURNING_TO_STABLE: "The target rolls to a version that was stable before.",
    Reason.RESTARTING: "The pods of the stable version are being restarted.",
    Reason.APPROVAL_NEEDED: "The step passed and waits for a person's approval.",
    Reason.ROLLING_TARGET: "The target rolls to the new version; the canary takes the traffic.",
    Reason.RESTORING_ROUTE: "The route is being put back to what the user wrote.",
    Reason.DRAINING: "The last requests to the canary are being finished.",
    Reason.BAKING: "The new version is promoted and still being watched.",
    Reason.NO_DATA: "The metrics say nothing about the canary; the weight stays.",
    Reason.MONITORING_UNAVAILABLE: "The monitoring does not answer; the weight stays.",
    Reason.JUDGE_STATE_UNREADABLE: "The judge lost its state and starts again; the weight stays.",
    Reason.STABLE_UNHEALTHY: "Stable fails as well: not the canary's fault; the weight stays.",
    Reason.REPLACING_UNHEALTHY_STABLE: "Stable is broken, the canary is not: steps are shortened.",
    Reason.TRAFFIC_NOT_SHIFTED: "The share of requests contradicts the weight; the weight stays.",
    Reason.ROUTE_NOT_ACCEPTED: "The router refuses the route; the canary gets no traffic.",
    Reason.CONTESTED: "Somebody else keeps writing the weights; the canary is held at weight 0.",
    Reason.PAUSED_BY_PERSON: "A person paused the release.",
    Reason.INCONCLUSIVE: "The evidence did not come in time; the release waits for a person.",
    Reason.DEADLINE_EXCEEDED: "The release did not end in time and waits for a person.",
    Reason.CHECK_INCONCLUSIVE: "A check could say neither pass nor fail.",
    Reason.STATUS_UNREADABLE: "An unexplained canary was found and rolled back.",
    Reason.WORSE_THAN_STABLE: "The canary fails more often than stable.",
    Reason.ABOVE_LIMIT: "The canary fails more often than the limit allows.",
    Reason.CANARY_OUTAGE: "The canary was out: half of its requests failed, or no pod was ready.",
    Reason.POOL_SATURATED: "A canary pod's connection pool is above its limit.",
    Reason.POOL_EXHAUSTED: "Every connection of a canary pod's pool is taken.",
    Reason.CONNECTION_LEAK: "The canary takes connections that it never gives back.",
    Reason.CONNECTIONS_WAITING: "The canary's requests wait for a database connection.",
    Reason.OUT_OF_BOUNDS: "A metric of the canary is outside its bounds.",
    Reason.CRASH_LOOPING: "The canary's pods crash again and again.",
    Reason.OUT_OF_MEMORY: "A canary pod was killed because it ran out of memory.",
    Reason.NEVER_READY: "The canary's pods did not become ready in time.",
    Reason.CHECK_FAILED: "A check failed.",
    Reason.ABORTED: "A person aborted the release.",
    Reason.UNDONE: "A person went back to a version that was stable before.",
    Reason.UNPAUSED_BY_HAND: "Somebody un-paused the target during the release.",
    Reason.TEMPLATE_CHANGED: "The template changed meanwhile; the newer one is next.",
    Reason.ROLL_FAILED: "The target did not finish rolling to the new version in time.",
}
