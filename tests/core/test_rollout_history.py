"""What the history keeps of a release that was rolled back: enough to explain it afterwards."""

import pytest

from canary.api import Intent, MetricStatus, Reason, Release, Status, Verdict, load_release
from canary.api.analysis import ClientErrorsSource, LatencySource, Metric
from canary.core.analysis import AnalysisResult, MetricResult
from canary.core.rollout import decide
from canary.core.snapshot import Canary, Pod, ReleaseResource, Route, Snapshot, TargetDeployment
from tests.in_memory_world import RELEASE

_SPEC = load_release(RELEASE, "tests").spec
SPEC = _SPEC.model_copy(
    update={
        "analysis": _SPEC.analysis.model_copy(
            update={
                "metrics": (
                    *_SPEC.analysis.metrics,
                    Metric(name="slow", latency=LatencySource(preset="http", above=0.5)),
                    Metric(name="refused", client_errors=ClientErrorsSource(preset="http")),
                )
            }
        )
    }
)
ERRORS = MetricStatus(name="errors", verdict=Verdict.FAIL, evidence=812.0, threshold=100.0)
SLOW = MetricStatus(name="slow", verdict=Verdict.PASS, evidence=1.0, threshold=100.0)
NEARLY = ERRORS.model_copy(update={"verdict": Verdict.CONTINUE, "evidence": 90.0})
IN_FLIGHT = Status(
    stable_hash="v1",
    intent=Intent.ADVANCE,
    weight=5,
    step_started_at=90.0,
    release=Release(
        template="v2",
        started_at=10.0,
        replicas=4,
        judged_from=20.0,
        confirmed_at=90.0,
        peak_weight=5,
    ),
)


def snapshot(status: Status, pods: int, *, now: float = 100.0) -> Snapshot:
    """A release with so many canary pods; without any, the canary is gone."""
    canary = Canary("v2", pods, tuple(Pod(f"auth-canary-{i}", ready=True) for i in range(pods)))
    resource = ReleaseResource("auth", "prod", 1, SPEC, status, "1")
    target = TargetDeployment(4, "v2", "v1", held=True)
    route = Route(status.weight, confirmed=True, at_rest=status.weight == 0)
    return Snapshot(now, resource, target, canary if pods else None, route)


def rolled_back(judged: AnalysisResult, pods: int) -> Status:
    """The status once everything of this failed release is put away."""
    failed = decide(snapshot(IN_FLIGHT, pods), judged).status
    confirmed = failed.release.model_copy(update={"confirmed_at": 1.0})
    put_away = failed.model_copy(update={"release": confirmed})
    return decide(snapshot(put_away, 0, now=200.0), AnalysisResult()).status


def failure(*metrics: MetricStatus) -> AnalysisResult:
    """The judge says that the canary is worse."""
    found = tuple(MetricResult(one, one.verdict, one.verdict) for one in metrics)
    return AnalysisResult(
        step=Verdict.FAIL, final=Verdict.FAIL, reason=Reason.WORSE_THAN_STABLE, by_metric=found
    )


CULPRITS = [
    pytest.param((ERRORS, SLOW), (ERRORS,), id="the metric that failed, and no other"),
    pytest.param((SLOW, NEARLY), (NEARLY,), id="failed only together: the one with most evidence"),
    pytest.param((), (), id="no metric at all"),
]


@pytest.mark.parametrize(("metrics", "kept"), CULPRITS)
def test_history_keeps_the_metrics_of_the_failure(
    metrics: tuple[MetricStatus, ...], kept: tuple[MetricStatus, ...]
) -> None:
    """The next release starts its analysis anew; the figures of this one stay readable."""
    assert rolled_back(failure(*metrics), 2).history[0].analysis == kept


def test_history_keeps_the_canary_pods() -> None:
    """Their names are asked for when they are gone; a handful is enough."""
    entry = rolled_back(failure(ERRORS), 12).history[0]
    assert entry.canary_pods == tuple(f"auth-canary-{i}" for i in range(10))


def count(name: str, bad: float, verdict: Verdict = Verdict.PASS) -> MetricStatus:
    """A metric that has seen 900 requests of the canary."""
    return MetricStatus(name=name, verdict=verdict, canary_total=900.0, canary_bad=bad)


@pytest.mark.parametrize(
    ("metrics", "served"),
    [
        pytest.param((count("errors", 3), count("slow", 865)), 3, id="slow requests are no errors"),
        pytest.param((count("errors", 3), count("refused", 90)), 3, id="nor are usual 404s"),
        pytest.param(
            (count("errors", 3), count("refused", 400, Verdict.FAIL)),
            400,
            id="a version that refuses users has failed them",
        ),
        pytest.param((count("slow", 865),), None, id="nobody counted errors"),
    ],
)
def test_errors_served_are_failed_requests_and_not_slow_ones(
    metrics: tuple[MetricStatus, ...], served: float | None
) -> None:
    """A good release with slow requests once ended with `865 errors served`."""
    assert rolled_back(failure(*metrics), 2).history[0].errors_served == served
