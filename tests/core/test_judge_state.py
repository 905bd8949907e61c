"""`status.judge`: named, versioned, the same to the bit, and readable as it was written before."""

import json
from pathlib import Path

import pytest

from canary.api import Status
from canary.api.judge_state import (
    RATE_STAKES,
    SHARE_STAKES,
    EvidenceParts,
    JudgeState,
    UnreadableState,
    read_state,
)
from canary.core.analysis.state import restore_evidence, restore_pool, store_evidence, store_pool
from canary.core.evidence import EvidenceState, Interval, PodCount, RatioPolicy, fold_intervals
from canary.core.evidence.bets import Bets
from canary.core.pools.detector import DetectorState

RECORDED = Path(__file__).parent / "recorded"
POLICY = RatioPolicy(warm_up=0.0)


def recorded(name: str) -> dict[str, object]:
    """A status in the middle of a release, as the operator of version 1 wrote it."""
    found: dict[str, object] = json.loads((RECORDED / f"status-v1-{name}.json").read_text())
    return found


def intervals(count: int) -> list[Interval]:
    """Both versions fail now and then; stable has two pods."""
    pods = (PodCount("a", 300.0, 2.0), PodCount("b", 300.0, 1.0))
    return [
        Interval(5.0 * n, 5.0 * n + 5, 100.0 * (n > 20), float(n > 20 and n % 3 == 0), 600.0, 3.0, pods)
        for n in range(count)
    ]  # fmt: skip


def test_the_stakes_are_as_many_as_the_state_names():
    """The engine's order is what the state gives names to."""
    bets = Bets()
    assert (len(bets.share), len(bets.own)) == (SHARE_STAKES, RATE_STAKES)


@pytest.mark.parametrize("count", [1, 30, 200])
def test_evidence_survives_its_names_to_the_bit(count: int):
    """Through JSON, and folding on gives what folding at once gives."""
    every = intervals(count + 40)
    state = fold_intervals(EvidenceState(), POLICY, every[:count])
    parts = store_evidence(state)
    assert parts is not None
    again = EvidenceParts.model_validate_json(parts.model_dump_json(by_alias=True))
    assert restore_evidence(again) == state
    assert fold_intervals(restore_evidence(again), POLICY, every[count:]) == fold_intervals(
        EvidenceState(), POLICY, every
    )


def test_a_metric_needs_at_most_eight_kilobytes():
    """After hours of requests with errors on both sides."""
    parts = store_evidence(fold_intervals(EvidenceState(), POLICY, intervals(3000)))
    assert parts is not None
    assert len(parts.model_dump_json(by_alias=True, exclude_none=True)) <= 8192


@pytest.mark.parametrize("name", ["advancing", "baking"])
def test_state_of_the_version_before_is_read(name: str):
    """Every number of it, under its name."""
    written = recorded(name)
    state = Status.model_validate(written).judge
    assert isinstance(state, JudgeState)
    old = written["judge"]
    assert isinstance(old, dict)
    assert set(state.metrics()) == set(old) - {""}
    for metric, ratio in state.ratios.items():
        kept = restore_evidence(ratio.evidence)
        numbers = old[metric]["fold"]["values"]
        rest = iter(numbers)
        assert all(number in rest for number in kept.values if number), "every one, in order"
        assert [list(some) for some in kept.names] == old[metric]["fold"]["names"]
        assert ratio.until == old[metric]["until"]
    for metric, pool in state.pools.items():
        windows, bet, covered, shared, *_ = old[metric]["fold"]
        assert [one.name for one in (pool.stable, *pool.canary)] == [one[0] for one in windows]
        assert [*pool.bet.model_dump(mode="json").values()] == bet
        assert [pool.covered, pool.shared] == [covered, shared]
        assert store_pool(restore_pool(pool), pool.until, None) == pool.model_copy(
            update={"quiet": None}
        )
    share = state.traffic_share
    assert [share.weight, share.canary, share.stable] == old[""]
    assert restore_pool(store_pool(DetectorState(), None, None)) == DetectorState()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param({"version": 3}, "version 3", id="newer"),
        pytest.param({"version": 2, "ratios": {"a": {"until": "x"}}}, "until", id="wrong type"),
        pytest.param({"version": 2, "ratios": {"a": {"until": float("nan")}}}, "until", id="NaN"),
        pytest.param({"a": {"fold": {"values": [1.0], "names": []}}}, "version 1", id="cut short"),
        pytest.param("text", "", id="no mapping"),
    ],
)
def test_state_that_cannot_be_read_is_a_value_that_says_why(data: object, why: str):
    """Nothing is raised, and the value survives its being written."""
    state = read_state(data)
    assert isinstance(state, UnreadableState)
    assert why in state.unreadable
    assert read_state(state.model_dump(by_alias=True)) == state
