"""Tests whether the canary fails more often than stable. Anytime-valid, pure, only `math`."""

from canary.core.evidence.assessment import assess_evidence
from canary.core.evidence.judge import EvidenceState, Judge, fold_intervals, start_after_promotion
from canary.core.evidence.multiple_testing import combine_evidence, find_worse_metrics
from canary.core.evidence.policy import (
    Assessment,
    FailReason,
    Interval,
    PodCount,
    RatioPolicy,
    Stratum,
)

__all__ = [
    "Assessment",
    "EvidenceState",
    "FailReason",
    "Interval",
    "Judge",
    "PodCount",
    "RatioPolicy",
    "Stratum",
    "assess_evidence",
    "combine_evidence",
    "find_worse_metrics",
    "fold_intervals",
    "start_after_promotion",
]
