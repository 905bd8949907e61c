"""What both readers of recorded counters share."""

from dataclasses import replace

from canary.core.evidence import Judge, RatioPolicy
from canary.core.evidence.assessment import assess_judge
from canary.core.evidence.policy import Assessment
from canary.core.increments import Side

Pod = tuple[Side, str]
"""The side and the name of the pod that a row's counters belong to."""


def no_data_assessment(policy: RatioPolicy, why: str) -> Assessment:
    """Return the assessment of counters that cannot be right."""
    return replace(assess_judge(Judge(policy), policy), sentence=f"no data: {why}")
