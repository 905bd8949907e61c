"""How many requests a promotion needs, how long a release takes, what a Service gets now."""

import math
from dataclasses import replace

import pytest

from canary.api import Metric, load_release
from canary.api.analysis import ClientErrorsSource, RatioSource
from canary.core.evidence.promotion import GROSS, SMALL, rules_out
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series
from canary.discovery.evidence_time import (
    MISS_PROBABILITY,
    TrafficRate,
    forecast_release,
    measure_traffic,
    requests_needed,
)
from tests.discovery.simulated_cluster import RELEASE

SPEC = load_release(RELEASE, "release").spec
METRIC = Metric(name="errors", ratio=RatioSource(preset="traefik"))


@pytest.mark.parametrize(
    ("regression", "bad", "expected"),
    [
        pytest.param(0.01, 0.0, 656, id="1 percent, nothing fails"),
        pytest.param(0.005, 0.0, 1312, id="the default, nothing fails"),
        pytest.param(0.001, 0.0, 6557, id="0.1 percent, nothing fails"),
        pytest.param(0.01, 0.02, 3218, id="1 percent beside 2 percent that fail anyway"),
        pytest.param(0.001, 0.02, math.inf, id="0.1 percent beside 2 percent: never"),
    ],
)
def test_requests_that_promotion_needs(regression: float, bad: float, expected: float) -> None:
    """The judge's own test is asked; more than that many requests are enough, fewer are not."""
    found = requests_needed(regression, bad)
    assert found == expected or abs(found - expected) <= 1
    if math.isfinite(found):
        rate = bad + regression
        assert rules_out(found * bad, found * rate, 1.0, MISS_PROBABILITY, SMALL)
        assert not rules_out(found * 0.99 * bad, found * 0.99 * rate, 1.0, MISS_PROBABILITY, SMALL)


def test_gross_damage_needs_about_a_hundred_requests() -> None:
    """As the judge's documentation says."""
    assert requests_needed(0.05, terms=GROSS) == pytest.approx(103, abs=1)


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        pytest.param(1000.0, 1260.0, id="much traffic: the minimum, after warming up"),
        pytest.param(2.0, 2298.0, id="little traffic: as long as 1,312 canary requests take"),
        pytest.param(0.2, 22445.0, id="a tenth of it: ten times as long"),
    ],
)
def test_how_long_a_good_release_takes(rate: float, seconds: float) -> None:
    """Holds, waits for evidence at each step, and the minimum at the end."""
    forecast = forecast_release(SPEC, METRIC, TrafficRate(rate))
    assert forecast.seconds == pytest.approx(seconds, rel=0.01)
    assert forecast.seconds >= SPEC.analysis.min_duration
    assert sum(forecast.waits) <= forecast.seconds


def test_the_first_step_waits_for_its_own_evidence() -> None:
    """103 requests at 5 % of 1 request/s take half an hour, of which 2 minutes are the hold."""
    waits = forecast_release(SPEC, METRIC, TrafficRate(1.0)).waits
    assert waits[0] == pytest.approx(103 / 0.05 - 120, rel=0.02)


def test_traffic_is_what_stable_counted() -> None:
    """Increments of both counters over the grid; a reset is no negative traffic."""
    total = FoundSeries((Series({"pod": "a"}, ((1.0, 100.0), (30.0, 129.0), (60.0, 30.0))),))
    bad = FoundSeries((Series({"pod": "a"}, ((1.0, 0.0), (30.0, 6.0), (60.0, 0.0))),))

    def traffic(total: MetricAnswer, bad: MetricAnswer) -> TrafficRate | None:
        sides = {"a": Side.STABLE}.get
        return measure_traffic(RatioAnswers("hits", total, "pod", sides, bad=bad), 0.0, 60.0)

    measured = traffic(total, bad)
    assert measured is not None
    assert replace(measured, clump=1.0) == TrafficRate(1.0, 6 / 59, 59.0)
    assert traffic(total, NoData("none")) == TrafficRate(1.0, 0.0, 59.0)
    assert traffic(NoData("none"), bad) is None


def test_what_is_only_compared_is_ruled_out_relative_to_stables_rate() -> None:
    """Where a fifth of all requests are client errors, nobody waits for half a percent more."""
    refused = Metric(name="refused", client_errors=ClientErrorsSource(preset="traefik"))
    assert forecast_release(SPEC, refused, TrafficRate(100.0, 0.2)).requests < 5000
    assert forecast_release(SPEC, METRIC, TrafficRate(100.0, 0.2)).requests == math.inf
