"""The operator's metrics about releases."""

from prometheus_client import generate_latest

from canary.api import Reason, Result, Status
from canary.api.status import HistoryEntry
from canary.interfaces import Key
from canary.operator.metrics import OperatorMetrics


def test_a_deleted_release_leaves_no_series() -> None:
    """Teams create and delete releases for years while one operator runs."""
    metrics = OperatorMetrics()
    for number, result in enumerate((Result.PROMOTED, Result.ROLLED_BACK)):
        key = Key("previews", f"pull-{number}")
        entry = HistoryEntry(
            template="b",
            result=result,
            reason=Reason.ABOVE_LIMIT,
            started_at=1.0,
            ended_at=2.0,
        )
        metrics.releases.record_status(key, Status())
        metrics.releases.record_status(key, Status(history=(entry,)))
    page = generate_latest(metrics.registry).decode()
    assert page.count("pull-0") == page.count("pull-1") > 0
    for number in range(2):
        metrics.releases.remove_release(Key("previews", f"pull-{number}"))
    assert "pull-" not in generate_latest(metrics.registry).decode()
