"""The CanaryRelease resource: spec, status, phases, verdicts and reasons."""

from canary.api.reasons import SENTENCES, Intent, Phase, Reason, Result, Verdict
from canary.api.resource import CanaryRelease, Problem, SpecError, load_release
from canary.api.spec import Metric, OnInconclusive, Source, Spec, Step
from canary.api.status import (
    CheckStatus,
    HistoryEntry,
    MetricStatus,
    Pause,
    Release,
    Status,
)

__all__ = [
    "SENTENCES",
    "CanaryRelease",
    "CheckStatus",
    "HistoryEntry",
    "Intent",
    "Metric",
    "MetricStatus",
    "OnInconclusive",
    "Pause",
    "Phase",
    "Problem",
    "Reason",
    "Release",
    "Result",
    "Source",
    "Spec",
    "SpecError",
    "Status",
    "Step",
    "Verdict",
    "load_release",
]
