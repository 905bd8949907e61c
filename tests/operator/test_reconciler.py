"""When the next pass over a release is due."""

import pytest

from canary.api import Intent, Status
from canary.core.plan import ActResult
from canary.operator.reconciler import seconds_to_next_reconcile
from canary.status_update import PassResult


def outcome(
    requeue_after: float | None,
    sample_within: float | None = None,
    intent: Intent = Intent.ADVANCE,
) -> PassResult:
    """What a pass came to."""
    return PassResult(Status(intent=intent), requeue_after, ActResult(), None, sample_within)


def test_a_pass_that_waits_for_a_sample_comes_when_the_sample_is_due() -> None:
    """Also where the analysis interval is much shorter than the scrape interval."""
    assert seconds_to_next_reconcile(outcome(1.0, sample_within=10.0), 4.2) == pytest.approx(4.2)


def test_a_step_that_ends_before_the_next_sample_is_not_kept_waiting() -> None:
    """The rest of a step's duration is the longest wait."""
    assert seconds_to_next_reconcile(outcome(1.0, sample_within=2.5), 14.0) == pytest.approx(2.5)


@pytest.mark.parametrize("due", [None, 0.0, -3.0])
def test_a_sample_that_is_late_is_looked_for_every_interval(due: float | None) -> None:
    """So is one of a source that does not know when it scrapes."""
    assert seconds_to_next_reconcile(outcome(1.0, sample_within=10.0), due) == pytest.approx(1.0)


def test_a_pass_that_waits_for_something_else_comes_no_later_for_a_sample() -> None:
    """A route that is not confirmed yet, or a pod that is not ready."""
    assert seconds_to_next_reconcile(outcome(1.0), 4.2) == pytest.approx(1.0)
    assert seconds_to_next_reconcile(outcome(5.0), 4.2) == pytest.approx(4.2)


def test_a_release_at_rest_waits_for_changes_and_not_for_samples() -> None:
    """Nothing is asked of Prometheus there."""
    assert seconds_to_next_reconcile(outcome(None), 4.2) is None
    assert seconds_to_next_reconcile(outcome(60.0, intent=Intent.REST), 4.2) == pytest.approx(60.0)
