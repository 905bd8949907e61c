"""Laws of the judge: one fold however it is cut, silence decides nothing, bets are fair."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from canary.api.judge_state import EvidenceParts
from canary.core.analysis.state import restore_evidence, store_evidence
from canary.core.evidence import (
    EvidenceState,
    Interval,
    RatioPolicy,
    Stratum,
    assess_evidence,
    combine_evidence,
    find_worse_metrics,
    fold_intervals,
)
from canary.core.evidence.baseline import Baseline
from canary.core.evidence.bet_sizes import GRID_LOSS_CLUMP, SHARE
from canary.core.evidence.bets import _grid_factors, compute_fresh_capital
from canary.core.evidence.promotion import GROSS, SMALL, rules_out
from canary.core.evidence.ratio import Ratio

POLICY = RatioPolicy(warm_up=20.0, min_duration=60.0)

counts = st.integers(0, 400)


@st.composite
def streams(draw) -> list[Interval]:
    """Consecutive intervals of any length, busy, silent or broken."""
    at = draw(st.integers(-5000, 5000))
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        length = draw(st.sampled_from([1, 2, 5, 15, 60, 400]))
        a, c = draw(counts), draw(counts)
        b, d = draw(st.integers(0, a)), draw(st.integers(0, min(c, 40)))
        rows.append(Interval(float(at), float(at + length), *map(float, (a, b, c, d))))
        at += length
    return rows


def stored(state: EvidenceState) -> EvidenceState:
    """What a status gives back, written as JSON and read again."""
    parts = store_evidence(state)
    text = "null" if parts is None else parts.model_dump_json(by_alias=True)
    return restore_evidence(TypeAdapter(EvidenceParts | None).validate_json(text))


@given(streams(), st.data())
@settings(max_examples=60, deadline=None)
def test_in_pieces_through_storage_or_at_once_is_the_same(rows, data):
    """A restart anywhere changes not one bit."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    state = EvidenceState()
    for first, last in pairwise([0, *cuts, len(rows)]):
        state = fold_intervals(state, POLICY, rows[first:last])
        state = stored(state)
    assert state == fold_intervals(EvidenceState(), POLICY, rows)


def test_routes_of_an_open_block_survive_a_restart():
    """Samples of two seconds: a block of five has three of them."""
    routes = (Stratum("login", 50.0, 0.0, 300.0, 1.0), Stratum("search", 50.0, 9.0, 100.0, 8.0))
    every = [
        Interval(2.0 * n, 2.0 * n + 2.0, 100.0, 9.0, 400.0, 9.0, strata=routes) for n in range(100)
    ]
    whole = fold_intervals(EvidenceState(), POLICY, every)
    for cut in (40, 41, 42):
        state = stored(fold_intervals(EvidenceState(), POLICY, every[:cut]))
        assert fold_intervals(state, POLICY, every[cut:]) == whole


@given(streams())
@settings(max_examples=40, deadline=None)
def test_silence_never_makes_a_verdict(rows):
    """Hours without canary requests neither fail, nor pass, nor undo."""
    state = fold_intervals(EvidenceState(), POLICY, rows)
    before = assess_evidence(state, POLICY)
    end = rows[-1].end
    silence = [Interval(end + i * 60, end + i * 60 + 60, 0.0, 0.0, 90.0, 1.0) for i in range(60)]
    # Two intervals, so that the open block and window of the requests have ended.
    flushed = assess_evidence(fold_intervals(state, POLICY, silence[:2]), POLICY)
    after = assess_evidence(fold_intervals(state, POLICY, silence), POLICY)
    assert (after.failed, after.final_pass) == (flushed.failed, flushed.final_pass)
    assert after.failed >= before.failed


@given(streams(), st.integers(-(10**6), 10**6))
@settings(max_examples=40, deadline=None)
def test_only_differences_of_time_count(rows, shift):
    """The same release at another hour has the same verdict."""
    moved = [row._replace(start=row.start + shift, end=row.end + shift) for row in rows]
    here = assess_evidence(fold_intervals(EvidenceState(), POLICY, rows), POLICY)
    there = assess_evidence(fold_intervals(EvidenceState(), POLICY, moved), POLICY)
    assert (here.failed, here.final_pass, here.evidence) == (
        there.failed,
        there.final_pass,
        there.evidence,
    )


@given(streams(), streams())
@settings(max_examples=40, deadline=None)
def test_fail_is_for_ever(rows, more):
    """Nothing that comes later takes a Fail back or changes its time and reason."""
    state = fold_intervals(EvidenceState(), POLICY, rows)
    first = assess_evidence(state, POLICY)
    shift = rows[-1].end - more[0].start
    later = [row._replace(start=row.start + shift, end=row.end + shift) for row in more]
    then = assess_evidence(fold_intervals(state, POLICY, later), POLICY)
    if first.failed:
        assert (then.failed, then.failed_at, then.reason) == (True, first.failed_at, first.reason)
    assert not (then.failed and then.final_pass)


def binomial(count: int, share: float) -> list[float]:
    """Chances of 0 … count."""
    return [math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]


@pytest.mark.parametrize("clump", [1, 3, 8])
@pytest.mark.parametrize("errors", [1, 4, 20])
@pytest.mark.parametrize("p0", [0.01, 0.122, 0.556, 0.99])
def test_no_bet_gains_on_average_when_the_canary_is_no_worse(p0, errors, clump):
    """The mean factor is at most 1 at the edge of the tolerance, clumps included (exact sum)."""
    chances = binomial(errors, p0)
    nulls = ((float(errors * clump), p0),)
    means = [0.0] * 6
    for hits, chance in enumerate(chances):
        share = [1 + stake * (hits / errors / p0 - 1) for stake in SHARE]
        grid = _grid_factors(float(hits * clump), nulls, float(clump))
        for i, factor in enumerate((*share, *grid)):
            means[i] += chance * factor
    assert max(means) <= 1 + 1e-9


def test_losses_are_never_slowed_more_than_gains():
    """Otherwise the grid would be no supermartingale."""
    assert GRID_LOSS_CLUMP >= 1.0
    lost = _grid_factors(0.0, ((10.0, 0.1),), 8.0)
    assert all(factor <= _grid_factors(0.0, ((10.0, 0.1),), 1.3)[i] + 1e-12
               for i, factor in enumerate(lost))  # fmt: skip


def test_all_capital_ever_staked_is_at_most_one():
    """0.55 at once and at most 0.45 over any length of time."""
    given_out = sum(compute_fresh_capital(since, 5.0) for since in range(5, 10**6, 5))
    assert 0.4 < given_out <= 0.45


@pytest.mark.parametrize(("share", "requests"), [(0.01, 460), (0.005, 921), (0.001, 4605)])
def test_clean_requests_that_rule_out_a_rate(share, requests):
    """ln(1/β)/r is the least any test could need; the mixture needs a few more."""
    assert not rules_out(0.0, share * requests, 1.0, 0.01, SMALL)
    assert rules_out(0.0, share * requests * 1.45, 1.0, 0.01, SMALL)
    assert not rules_out(0.0, share * requests * 1.45, 3.0, 0.01, SMALL)


@pytest.mark.parametrize("terms", [SMALL, GROSS])
@pytest.mark.parametrize("expected", [0.5, 5.0, 20.0])
def test_promotion_errs_no_more_often_than_it_may(expected, terms):
    """Poisson counts at exactly the regression: each single look passes at most 1 % (exact)."""
    chance, wrong = math.exp(-expected), 0.0
    for bad in range(200):
        wrong += chance * rules_out(float(bad), expected, 1.0, 0.01, terms)
        chance *= expected / (bad + 1)
    assert wrong <= 0.01


@pytest.mark.parametrize("clump", [1, 4])
def test_the_size_of_clumps_is_measured(clump):
    """Errors that come four at a time show as four, single ones as one."""
    rng = np.random.default_rng(7)
    baseline = Baseline()
    for i in range(720):
        bad = clump * rng.binomial(100, 0.02)
        baseline.add(5.0 * i, 1000.0, float(bad))
    assert 0.75 * clump <= baseline.clump_and_dispersion()[1] <= 1.35 * clump
    assert baseline.clump() >= baseline.clump_and_dispersion()[1]


def test_a_hiccup_over_several_blocks_is_one_clump():
    """20 s of errors in every ten minutes: four blocks of 5 s, one or two windows of 30 s."""
    by_block, by_window = Baseline(), Baseline(30.0)
    for i in range(720):
        bad = 60.0 if i % 120 < 4 else 0.0
        for baseline in (by_block, by_window):
            baseline.add(5.0 * i, 1000.0, bad)
    assert by_window.clump_and_dispersion()[1] > 2.0 * by_block.clump_and_dispersion()[1]
    assert by_window.clump_for_promotion() == by_block.clump_for_promotion()


def test_the_interval_of_the_ratio_holds_the_truth():
    """At every look at once: in 60 seeded releases at most one interval ever misses 3.0."""
    missed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ratio = Ratio()
        outside = False
        for look in range(1, 60):
            bad = rng.binomial(60, 0.03)
            stable_bad = rng.binomial(180, 0.01)
            ratio.add(60.0, float(bad), 180.0, float(stable_bad))
            if look % 6 == 0:
                low, high = ratio.interval(1.0, 0.01)
                outside |= (low or 0.0) > 3.0 or (high or math.inf) < 3.0
        missed += outside
    assert missed <= 1


def test_no_errors_give_no_interval():
    """Nothing has failed: nothing can be said about a ratio."""
    ratio = Ratio()
    ratio.add(100.0, 0.0, 900.0, 0.0)
    assert ratio.estimate() is None
    assert ratio.interval(1.0, 0.01) == (None, None)


def test_the_bounds_of_the_ratio_are_where_the_evidence_says():
    """As halving an interval of sixty found them; steps that contradict each other have none."""
    ratio = Ratio()
    ratio.add(1000.0, 30.0, 9000.0, 100.0)
    assert ratio.interval(1.0, 0.01) == pytest.approx((1.1397348080178, 5.7027877768990), rel=1e-12)
    ratio = Ratio()
    ratio.add(1000.0, 50.0, 9000.0, 0.0)
    ratio.add(5000.0, 0.0, 5000.0, 50.0)
    assert ratio.interval(1.0, 0.01) == (0.0, None)


def simulated(rate: float, seed: int, seconds: int = 1800) -> list[Interval]:
    """A seeded release at 2 % for stable, half of 40 requests/s to the canary."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(-900, seconds, 15):
        canary = 300 if at >= 0 else 0
        bad = rng.binomial(canary, rate)
        stable_bad = rng.binomial(300, 0.02)
        rows.append(Interval(at, at + 15.0, float(canary), float(bad), 300.0, float(stable_bad)))
    return rows


def test_good_releases_are_left_alone_and_bad_ones_found():
    """Seeded, with wide margins: 40 good ones, 20 at three times stable's rate."""
    policy = RatioPolicy()
    good = [
        assess_evidence(fold_intervals(EvidenceState(), policy, simulated(0.02, n)), policy)
        for n in range(40)
    ]
    bad = [
        assess_evidence(fold_intervals(EvidenceState(), policy, simulated(0.06, n, 900)), policy)
        for n in range(20)
    ]
    assert sum(a.failed for a in good) <= 1
    assert all(a.failed for a in bad)
    assert sorted(a.failed_at for a in bad)[10] <= 240


def test_several_metrics_share_one_error():
    """The weighted average of e-values is an e-value; e-BH names the guilty."""
    assert combine_evidence([300.0, 0.0, 0.0]) == 100.0
    assert combine_evidence([10.0, 50.0], [3.0, 1.0]) == 20.0
    assert find_worse_metrics({"errors": 500.0, "slow": 160.0, "pool": 0.1}, 0.01) == (
        "errors",
        "slow",
    )
    assert find_worse_metrics({"errors": 90.0}, 0.01) == ()
    with pytest.raises(ValueError, match="weight"):
        combine_evidence([])


def test_sampled_more_often_than_scraped_the_verdict_comes_with_a_scrape():
    """Counters that move every five seconds, read every second: no block ends between scrapes.

    The warm-up may then begin up to one scrape later, nothing else changes.
    """
    counted = Interval(-400.0, -1.0, 0.0, 0.0, 20000.0, 0.0)
    rare = [
        Interval(t, t + 5.0, 13.0, 1.0, 240.0, 0.0) for t in range(-1, 299, 5)
    ]  # ends at 4, 9 …
    often = [
        one
        for row in rare
        for one in (
            *(Interval(row.start + i, row.start + i + 1.0, 0.0, 0.0, 0.0, 0.0) for i in range(4)),
            row._replace(start=row.end - 1.0),
        )
    ]
    first, second = (
        assess_evidence(fold_intervals(EvidenceState(), POLICY, [counted, *rows]), POLICY)
        for rows in (rare, often)
    )
    assert first.failed
    assert second.failed_at in {first.failed_at, first.failed_at + 5.0}
