"""The pod-window guard: hiccups that both versions share are no reason to roll back."""

import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate import Hiccups, Scenario, simulate
from canary.core.analysis.state import store_evidence
from canary.core.evidence import (
    EvidenceState,
    Interval,
    Judge,
    PodCount,
    RatioPolicy,
    fold_intervals,
)
from canary.core.evidence.pod_windows import PodWindows, PodWindowsState
from tests.core.test_evidence_laws import stored

POLICY = RatioPolicy()
SHORT = Hiccups(rate=0.3, seconds=8, every=60)
RARE = Hiccups(rate=0.3, seconds=20, every=600)
LITTLE_HISTORY = zlib.crc32(b"pods as above up to 20 s, one minute of history (worst of 8)")
"""Seed of that row of the benchmark."""


def failed_at(scenario: Scenario, seed: int, policy: RatioPolicy = POLICY) -> float | None:
    """When the judge fails a simulated release; seconds after its first request."""
    judge = Judge(policy)
    for interval in simulate(scenario, 15, np.random.default_rng(seed)):
        judge.add_interval(interval)
        if judge.failed is not None:
            return judge.failed[0]
    return None


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Scenario(pods=(2, 2), hiccups=SHORT), id="8 s every minute, 2 + 2 pods"),
        pytest.param(Scenario(pods=(3, 2), hiccups=RARE), id="20 s every ten minutes, 3 + 2"),
        pytest.param(Scenario(pods=(10, 2), hiccups=SHORT), id="8 s every minute, 10 + 2"),
        pytest.param(
            Scenario(pods=(3, 2), hiccups=RARE, summed=True), id="only sums are known, 3 + 2"
        ),
    ],
)
def test_hiccups_of_both_versions_never_roll_back(scenario):
    """Every pod has them, so the canary's are no news."""
    scenario = replace(scenario, weight=0.05, length=1800)
    assert [failed_at(scenario, seed) for seed in range(5)] == [None] * 5


@pytest.mark.parametrize(
    ("hiccups", "by"),
    [
        pytest.param(None, 60, id="clean pods"),
        pytest.param(replace(SHORT, every=300), 600, id="pods with hiccups"),
    ],
)
def test_a_bad_canary_is_found_beside_hiccups(hiccups, by):
    """5 % of errors all the time are more than hiccups."""
    scenario = Scenario(pods=(3, 2), weight=0.1, canary=0.05, length=1800, hiccups=hiccups)
    found = [failed_at(scenario, seed, RatioPolicy(warm_up=0.0)) for seed in range(5)]
    assert all(at is not None for at in found)
    assert sorted(found)[2] <= by


def test_without_history_a_bad_canary_is_found_later():
    """Nothing is known of this service yet."""
    scenario = Scenario(pods=(3, 2), weight=0.1, canary=0.05, length=1800)
    policy = RatioPolicy(warm_up=0.0)
    known, unknown = (
        [failed_at(replace(scenario, history=history), seed, policy) for seed in range(5)]
        for history in (3600, 0)
    )
    assert sorted(known) < sorted(unknown)
    assert max(unknown) < 600


def test_hiccups_that_stable_has_not_shown_decide_nothing_while_little_is_known():
    """One minute of history: the first two of all hiccups fall on the canary, and then no more."""
    scenario = Scenario(pods=(3, 2), weight=0.1, history=60, length=1200)
    for seed in range(5):
        judge = Judge(POLICY)
        for interval in simulate(scenario, 5, np.random.default_rng(seed)):
            hit = 150 <= interval.start < 170 or 400 <= interval.start < 420
            if not hit:
                judge.add_interval(interval)
                continue
            first, second = interval.canary_pods
            first = first._replace(bad=float(round(first.total * 0.3)))
            bad = first.bad + second.bad
            judge.add_interval(interval._replace(canary_bad=bad, canary_pods=(first, second)))
        assert judge.failed is None


def guard_after(*windows: tuple[int, int, int]) -> PodWindows:
    """Beside three pods of stable without errors, after one minute of history.

    Each window of the canary's only pod: bad requests in its three parts of 10 s, of 25 each.
    """
    guard = PodWindows(PodWindowsState(30.0))
    for start in (0.0, 10.0, 20.0, 30.0, 40.0, 50.0):
        guard.add_interval(part(start, 0.0, 0), POLICY, judged=False)
    for number, bad in enumerate(x for window in windows for x in window):
        guard.add_interval(part(60.0 + 10.0 * number, 25.0, bad), POLICY, judged=True)
    return guard


def part(start: float, canary: float, bad: int) -> Interval:
    """Ten seconds; stable's pods have 100 requests each."""
    pods = tuple(PodCount(name, 100.0, 0.0) for name in "abc")
    return Interval(start, start + 10.0, canary, float(bad), 300.0, 0.0, pods=pods)


def test_while_little_is_known_errors_that_last_need_less_evidence_than_hiccups():
    """A fault fails requests all the time; three hiccups in a row leave most parts empty."""
    fault = guard_after((2, 1, 3), (1, 0, 2), (1, 3, 1))
    hiccups = guard_after((0, 6, 3), (5, 0, 0), (0, 0, 3))
    assert (fault.enough, hiccups.enough) == (20.0, 200.0)
    assert fault.wealth >= fault.enough
    assert hiccups.wealth < hiccups.enough


def test_stray_errors_do_not_cash_in_what_earlier_hiccups_have_won():
    """One error in each of three windows lasts, but says little by itself."""
    quiet, hiccup, stray = (0, 0, 0), (0, 9, 4), (0, 1, 0)
    before = guard_after(hiccup, quiet)
    after = guard_after(hiccup, quiet, stray, stray, stray)
    assert 1.0 < before.wealth < 10.0
    assert after.enough == pytest.approx(20.0 * before.wealth)
    assert guard_after(quiet, quiet, stray, stray, stray).enough == 20.0


def test_time_without_requests_of_the_canary_does_not_lower_what_is_enough():
    """What is known of stable grows meanwhile, but counts from the canary's next window on."""
    guard = guard_after((6, 0, 0), (0, 6, 0), (6, 0, 0))
    assert guard.enough == 200.0
    for start in range(10_000, 13_600, 10):
        guard.add_interval(part(start, 0.0, 0), POLICY, judged=True)
    assert guard.enough == 200.0
    for start in range(13_600, 13_640, 10):
        guard.add_interval(part(start, 10.0, 0), POLICY, judged=True)
    assert guard.enough == 20.0


@pytest.mark.parametrize(
    ("pods", "hiccups", "every", "seed"),
    [
        pytest.param((3, 2), replace(SHORT, every=300), 5, (1, 168), id="three in a row"),
        pytest.param((1, 1), SHORT, 5, (6, 74), id="in four windows of six"),
        pytest.param((3, 2), RARE, 15, (2, 83), id="two, and stray errors long after"),
    ],
)
def test_releases_with_hiccups_once_taken_for_a_fault_are_not_rolled_back(
    pods, hiccups, every, seed
):
    """One minute of history; these were found among hundreds of simulated releases."""
    scenario = Scenario(pods=pods, hiccups=hiccups, weight=0.05, history=60, length=1800)
    which, number = seed
    rng = np.random.default_rng((1, LITTLE_HISTORY, every, which, number))
    judge = Judge(POLICY)
    for interval in simulate(scenario, every, rng):
        judge.add_interval(interval)
    assert judge.failed is None


def test_with_one_minute_of_history_five_percent_of_errors_are_found_in_two_minutes():
    """Half of the releases, at 2.5 requests/s to the canary."""
    scenario = Scenario(canary=0.05, weight=0.05, rps=50, history=60, length=600)
    policy = RatioPolicy(warm_up=0.0)
    found = [failed_at(scenario, seed, policy) or 600.0 for seed in range(25)]
    assert sorted(found)[12] <= 120.0


@pytest.mark.parametrize("summed", [False, True])
def test_hiccups_at_fixed_times_never_roll_back(summed):
    """They come window after window: the bets count a hiccup as one clump of errors."""
    fixed = replace(SHORT, fixed=True)
    scenario = Scenario(pods=(2, 2), hiccups=fixed, weight=0.05, length=1800, summed=summed)
    assert [failed_at(scenario, seed) for seed in range(5)] == [None] * 5


def rows(pods: int = 3, every: int = 5) -> list[Interval]:
    """Ten minutes of a release with counts per pod."""
    scenario = Scenario(pods=(pods, 2), history=300, length=300, canary=0.03, hiccups=SHORT)
    return list(simulate(scenario, every, np.random.default_rng(7)))


@given(st.lists(st.integers(0, 300), max_size=4), st.sampled_from([2, 5]))
@settings(max_examples=30, deadline=None)
def test_in_pieces_through_storage_or_at_once_is_the_same(cuts, every):
    """A restart anywhere changes not one bit, counts per pod in open blocks and windows included."""
    release, state = rows(every=every), EvidenceState()
    for first, last in pairwise([0, *sorted(cuts), len(release)]):
        state = fold_intervals(state, POLICY, release[first:last])
        state = stored(state)
    assert state == fold_intervals(EvidenceState(), POLICY, release)


def test_a_hundred_pods_need_little_room():
    """The state is bounded, however many pods there are."""
    parts = store_evidence(fold_intervals(EvidenceState(), POLICY, rows(100)[:-2]))
    assert parts is not None
    assert parts.pod_windows is not None
    assert len(parts.pod_windows.open_pods) <= 34
    assert len(parts.pod_windows.model_dump_json()) < 6000


@given(st.lists(st.integers(0, 30), min_size=3, max_size=12))
@settings(max_examples=100, deadline=None)
def test_under_exchangeability_no_score_gains_on_average(bad):
    """Whichever pod of these is the canary's: the mean of its e-values is at most 1."""
    totals = np.zeros(10)
    for mine in range(len(bad)):
        pods = tuple(PodCount(f"{i}", 100.0, float(x)) for i, x in enumerate(bad) if i != mine)
        guard = PodWindows(PodWindowsState(30.0))
        stable = float(sum(bad) - bad[mine])
        for second in (0.0, 10.0, 20.0):
            last = second == 20.0
            guard.add_interval(
                Interval(
                    second,
                    second + 10.0,
                    100.0 if last else 0.0,
                    float(bad[mine]) if last else 0.0,
                    100.0 * len(pods) if last else 0.0,
                    stable if last else 0.0,
                    pods=pods if last else (),
                ),
                POLICY,
                judged=True,
            )
        totals += np.array(guard.state().wealth)
    before = 0.8 + 0.2 * 30.0 / 7200.0
    assert (totals / len(bad) <= before + 1e-9).all()


def test_the_status_keeps_the_guard_to_the_bit():
    """Written into a status and read again, in the middle of a window, nothing is lost."""
    state = fold_intervals(EvidenceState(), POLICY, rows()[:-2])
    assert stored(state) == state
