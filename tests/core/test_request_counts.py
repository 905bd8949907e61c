"""The canary's requests that went wrong: failed ones, and bad ones, which need not have failed."""

import pytest

from canary.api import MetricStatus, Verdict
from canary.api.analysis import Analysis, ClientErrorsSource, LatencySource, Metric, RatioSource
from canary.core.request_counts import BadRequests, count_bad_requests, count_failed_requests

ANALYSIS = Analysis(
    metrics=(
        Metric(name="errors", ratio=RatioSource(preset="http")),
        Metric(name="slow", latency=LatencySource(preset="http", above=0.5)),
        Metric(name="refused", client_errors=ClientErrorsSource(preset="http")),
    )
)


def count(
    name: str, bad: float, total: float = 900.0, verdict: Verdict = Verdict.PASS
) -> MetricStatus:
    """A metric that has counted the requests of the canary."""
    return MetricStatus(name=name, verdict=verdict, canary_total=total, canary_bad=bad)


@pytest.mark.parametrize(
    ("metrics", "failed"),
    [
        pytest.param((count("errors", 3), count("slow", 865)), 3, id="slow requests have not"),
        pytest.param((count("errors", 3), count("refused", 90)), 3, id="usual 404s have not"),
        pytest.param(
            (count("errors", 3), count("refused", 400, verdict=Verdict.FAIL)),
            400,
            id="client errors of a canary that fails for them have",
        ),
        pytest.param((count("slow", 865),), None, id="no metric counts failed requests"),
        pytest.param((count("errors", 0, total=0),), None, id="no request was counted"),
        pytest.param((count("errors", 0),), 0, id="none failed"),
    ],
)
def test_failed_requests_were_answered_with_an_error(
    metrics: tuple[MetricStatus, ...], failed: float | None
) -> None:
    """Zero is a claim: None says that nobody counted."""
    assert count_failed_requests(metrics, ANALYSIS) == failed


@pytest.mark.parametrize(
    ("metrics", "bad"),
    [
        pytest.param(
            (count("errors", 3), count("slow", 865)),
            BadRequests(865, 900, "latency"),
            id="slow requests are",
        ),
        pytest.param(
            (count("errors", 3), count("refused", 90)),
            BadRequests(90, 900, "clientErrors"),
            id="client errors are, whatever the verdict",
        ),
        pytest.param(
            (count("errors", 0, total=10), count("slow", 0)),
            BadRequests(0, 900, "latency"),
            id="without any, the metric that saw the most requests",
        ),
        pytest.param((count("errors", 0, total=0),), None, id="no request was counted"),
        pytest.param((count("an earlier metric", 7),), None, id="the spec has no such metric"),
    ],
)
def test_bad_requests_are_those_that_any_metric_counts_against_the_canary(
    metrics: tuple[MetricStatus, ...], bad: BadRequests | None
) -> None:
    """With their kind, so that a sentence can say whether they failed or were slow."""
    assert count_bad_requests(metrics, ANALYSIS) == bad


def test_a_sentence_says_what_happened_to_bad_requests() -> None:
    """`865 of 900 requests failed` would be wrong of slow ones."""
    assert BadRequests(865, 900, "latency").happened == "were slow"
