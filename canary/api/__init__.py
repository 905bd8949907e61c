"""The CanaryRelease resource: spec, status, phases, verdicts and reasons."""

from canary.api.analysis import (
    Analysis,
    ClientErrorsSource,
    LatencySource,
    Leak,
    Metric,
    PoolSource,
    RatioSource,
    Source,
)
from canary.api.fields import format_duration, parse_duration
from canary.api.messages import unknown
from canary.api.reasons import (
    REASONS,
    Intent,
    LookAt,
    Phase,
    Reason,
    ReasonKind,
    Result,
    Skip,
    Verdict,
)
from canary.api.resource import (
    CanaryRelease,
    Loaded,
    Metadata,
    Rule,
    load_release,
    load_releases,
)
from canary.api.spec import Check, CheckMoment, OnInconclusive, RollbackWindow, Spec, Step
from canary.api.status import (
    CheckStatus,
    EarlierStable,
    HistoryEntry,
    MetricStatus,
    Override,
    Pause,
    Release,
    Status,
)
from canary.api.traffic import Target, Traffic
from canary.api.validation_errors import Path, Problem, SpecError

__all__ = [
    "REASONS",
    "Analysis",
    "CanaryRelease",
    "Check",
    "CheckMoment",
    "CheckStatus",
    "ClientErrorsSource",
    "EarlierStable",
    "HistoryEntry",
    "Intent",
    "LatencySource",
    "Leak",
    "Loaded",
    "LookAt",
    "Metadata",
    "Metric",
    "MetricStatus",
    "OnInconclusive",
    "Override",
    "Path",
    "Pause",
    "Phase",
    "PoolSource",
    "Problem",
    "RatioSource",
    "Reason",
    "ReasonKind",
    "Release",
    "Result",
    "RollbackWindow",
    "Rule",
    "Skip",
    "Source",
    "Spec",
    "SpecError",
    "Status",
    "Step",
    "Target",
    "Traffic",
    "Verdict",
    "format_duration",
    "load_release",
    "load_releases",
    "parse_duration",
    "unknown",
]
