"""The CanaryRelease resource: spec, status, phases, verdicts and reasons."""

from canary.api.analysis import (
    Analysis,
    AnalysisSource,
    ClientErrorsSource,
    LatencySource,
    Leak,
    Metric,
    PoolSource,
    RatioSource,
)
from canary.api.fields import format_duration, parse_duration
from canary.api.messages import describe_unknown
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
    LoadedReleases,
    Metadata,
    ReleaseRule,
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
from canary.api.traffic import TargetRef, TrafficSpec
from canary.api.validation_errors import Path, Problem, SpecError

__all__ = [
    "REASONS",
    "Analysis",
    "AnalysisSource",
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
    "LoadedReleases",
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
    "ReleaseRule",
    "Result",
    "RollbackWindow",
    "Skip",
    "Spec",
    "SpecError",
    "Status",
    "Step",
    "TargetRef",
    "TrafficSpec",
    "Verdict",
    "describe_unknown",
    "format_duration",
    "load_release",
    "load_releases",
    "parse_duration",
]
