"""What the judge remembers: bounded, whatever the pods export."""

from canary.api import MetricStatus, Verdict
from canary.api.judge_state import RatioState, StoredPool, StoredSilence
from canary.core.analysis.input import MetricResult
from canary.core.analysis.state_size import MAX_STATE_BYTES, limit_state_size


def result(name: str, size: int, verdict: Verdict = Verdict.PASS) -> MetricResult:
    """A metric with a state of about so many bytes."""
    kind = StoredPool if name.startswith("pool") else RatioState
    state = kind(until=5.0, quiet=StoredSilence(verdict=Verdict.NO_DATA, why="x" * size))
    return MetricResult(MetricStatus(name=name, verdict=verdict), verdict, verdict, state)


def test_a_state_larger_than_a_status_takes_is_no_data_of_the_metric_that_fills_it():
    """The others are judged as before, and the range that was judged is not judged again."""
    found = limit_state_size([result("errors", 5000), result("pool", 900_000)])
    errors, pool = found
    assert errors == result("errors", 5000)
    assert (pool.step, pool.final, pool.status.verdict) == (Verdict.NO_DATA,) * 3
    assert "needs 900," in pool.status.message
    assert pool.state == StoredPool(until=5.0)


def test_many_metrics_share_the_bytes_of_a_release():
    """Twenty metrics of 100 KiB: as many as fit stay."""
    found = limit_state_size([result(f"pool{n}", 100_000) for n in range(20)])
    kept = [one for one in found if one.step is Verdict.PASS]
    assert len(kept) == MAX_STATE_BYTES // 100_100
    assert sum(len(one.state.model_dump_json()) for one in found if one.state) < 2 * MAX_STATE_BYTES


def test_a_metric_that_fails_fails_however_large_its_state_is():
    """What protects people does not depend on room in a status."""
    (found,) = limit_state_size([result("pool", 900_000, Verdict.FAIL)])
    assert (found.step, found.status.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert found.state == StoredPool(until=5.0)
