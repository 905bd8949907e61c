"""When the next pass over a release is due."""

import pytest

from canary.api import Intent, Release, Status
from canary.core.plan import ActResult
from canary.operator.reconciler import seconds_to_next_reconcile
from canary.status_update import PassResult

JUDGED = Release(template="v2", started_at=1.0, replicas=2, judged_from=5.0)
PREPARING = Release(template="v2", started_at=1.0, replicas=2)


def outcome(
    requeue_after: float | None,
    wait_at_most: float | None = None,
    intent: Intent = Intent.ADVANCE,
    release: Release = JUDGED,
) -> PassResult:
    """What a pass came to."""
    status = Status(intent=intent, release=release)
    return PassResult(status, requeue_after, ActResult(), None, wait_at_most)


def test_a_pass_that_waits_for_a_sample_comes_when_the_sample_is_due() -> None:
    """Also where the analysis interval is much shorter than the scrape interval."""
    assert seconds_to_next_reconcile(outcome(1.0, wait_at_most=10.0), 4.2) == pytest.approx(4.2)


def test_a_step_that_ends_before_the_next_sample_is_not_kept_waiting() -> None:
    """The next deadline is the longest wait."""
    assert seconds_to_next_reconcile(outcome(1.0, wait_at_most=2.5), 14.0) == pytest.approx(2.5)


@pytest.mark.parametrize("due", [None, 0.0, -3.0])
def test_a_sample_that_is_late_is_looked_for_every_interval(due: float | None) -> None:
    """So is one of a source that does not know when it scrapes."""
    assert seconds_to_next_reconcile(outcome(1.0, wait_at_most=10.0), due) == pytest.approx(1.0)


@pytest.mark.parametrize("due", [None, 0.0, 4.2])
def test_a_release_without_traffic_waits_for_changes_alone(due: float | None) -> None:
    """Nothing is asked of Prometheus yet; `due` is about a release before."""
    waiting = outcome(1.0, wait_at_most=10.0, release=PREPARING)
    assert seconds_to_next_reconcile(waiting, due) == pytest.approx(10.0)


def test_a_pass_that_waits_for_something_else_comes_no_later_for_a_sample() -> None:
    """An action that found nothing to write, or a router that does not report."""
    assert seconds_to_next_reconcile(outcome(1.0), 4.2) == pytest.approx(1.0)
    assert seconds_to_next_reconcile(outcome(5.0), 4.2) == pytest.approx(4.2)


def test_a_release_at_rest_waits_for_changes_and_not_for_samples() -> None:
    """Nothing is asked of Prometheus there."""
    assert seconds_to_next_reconcile(outcome(None), 4.2) is None
    assert seconds_to_next_reconcile(outcome(60.0, intent=Intent.REST), 4.2) == pytest.approx(60.0)
