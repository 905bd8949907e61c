"""Counts the canary's requests that went wrong, in the two meanings that people read.

A *failed* request was answered with an error. A *bad* request is one that any metric counts against
the canary: it failed, was slow, or was answered with a client error. For example, a release whose
metrics counted 3 failed and 865 slow requests of 900 has served 3 errors, and 865 bad requests.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from canary.api import MetricStatus, Verdict
from canary.api.analysis import Analysis, MetricKind

_HAPPENED: dict[MetricKind, str] = {
    "ratio": "failed",
    "latency": "were slow",
    "clientErrors": "were answered with a client error",
}


@dataclass(frozen=True, slots=True)
class BadRequests:
    """The canary's bad requests and all its requests, as one metric counted them."""

    bad: float
    total: float
    kind: MetricKind

    @property
    def happened(self) -> str:
        """What happened to the bad requests, to continue a sentence: `12 of 900 were slow`."""
        return _HAPPENED[self.kind]


def count_failed_requests(metrics: Iterable[MetricStatus], analysis: Analysis) -> float | None:
    """Return the canary's failed requests; None if no metric counted them, which is not zero.

    Client errors are the canary's only if it fails for them: a service that answers 404 to every
    tenth request has failed none of them.
    """
    kinds = {metric.name: metric.kind for metric in analysis.metrics}
    counted = [
        metric.canary_bad
        for metric in metrics
        if metric.canary_total > 0
        and (
            kinds.get(metric.name) == "ratio"
            or (kinds.get(metric.name) == "clientErrors" and metric.verdict is Verdict.FAIL)
        )
    ]
    return max(counted, default=None)


def count_bad_requests(metrics: Iterable[MetricStatus], analysis: Analysis) -> BadRequests | None:
    """Return the counts of the metric with the most bad requests; None if none counted any."""
    kinds = {metric.name: metric.kind for metric in analysis.metrics if metric.is_request_share}
    counted = [
        BadRequests(one.canary_bad, one.canary_total, kinds[one.name])
        for one in metrics
        if one.name in kinds and one.canary_total > 0
    ]
    return max(counted, key=lambda one: (one.bad, one.total), default=None)
