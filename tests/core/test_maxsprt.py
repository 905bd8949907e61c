"""An independent check of sequential reasoning and simulation: Kulldorff et al. 2011."""

import pytest

from bench.maxsprt import ALPHA, PUBLISHED, critical_value, rejection_probability, simulated
from bench.stats import fewest_seconds


@pytest.mark.parametrize(("upper", "published"), PUBLISHED.items())
def test_published_critical_values_are_reproduced(upper, published):
    """Exact recursion over Poisson counts: six digits of the published table."""
    assert critical_value(upper) == pytest.approx(published, abs=2e-6)
    assert rejection_probability(published, upper) == pytest.approx(ALPHA, abs=1e-6)


@pytest.mark.parametrize(("upper", "published"), PUBLISHED.items())
def test_simulated_releases_signal_as_often_as_published(upper, published):
    """20,000 seeded Poisson releases: 5 % within four standard errors."""
    assert simulated(published, upper, 20_000, 1) == pytest.approx(ALPHA, abs=0.0062)


@pytest.mark.parametrize(("rate", "seconds"), [(0.05, 5), (0.01, 43), (0.005, 138), (0.003, 416)])
def test_the_bound_on_delays(rate, seconds):
    """ln(1/α)/KL at 100 requests/s and 10 % weight."""
    assert fewest_seconds(100, 0.1, (0.001, rate)) == pytest.approx(seconds, abs=0.6)
