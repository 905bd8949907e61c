"""The judge: is the canary worse than stable? Anytime-valid, pure, only `math`."""

from canary.core.evidence.assess import assess
from canary.core.evidence.judge import EvidenceState, Judge, after_promotion, fold
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
    "after_promotion",
    "assess",
    "family_evidence",
    "fold",
    "guilty",
]
