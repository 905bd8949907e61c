"""Pools: saturation, leaks and waiting, as sentences and as laws."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.api import Metric, Verdict
from canary.api.analysis import Analysis
from canary.api.judge_state import StoredPool
from canary.core.analysis.input import AnalysisInput
from canary.core.analysis.pool import analyze_pool
from canary.core.analysis.state import restore_pool, store_pool
from canary.core.increments import Side
from canary.core.pools.detector import DetectorState, PoolPolicy, fold_samples
from canary.core.pools.samples import PoolReading, PoolSample, PoolSeries, build_pool_samples
from canary.core.pools.share_test import ShareBet
from canary.core.pools.verdict import assess_pools
from canary.core.pools.window import SlidingWindow, estimate_leak_rate
from canary.core.rounds import Rounds
from canary.core.sampling import PoolAnswers, sample_pool
from canary.core.series import FoundSeries, Series
from canary.core.snapshot import PoolSamples, Samples

DEMO = PoolPolicy(window=20.0, warm_up=0.0)
HOUR = PoolPolicy(warm_up=0.0)


def pool(  # noqa: PLR0913  # one number per field, most of them defaults
    in_use: float,
    *,
    held: float | None = 0.0,
    pod: str = "new",
    side: Side = Side.CANARY,
    maximum: float | None = 10.0,
    seconds: float = 1.0,
    waiting: float = 0.0,
    timeouts: float = 0.0,
) -> PoolReading:
    """One reading."""
    return PoolReading(pod, side, seconds, in_use, maximum, waiting, held, timeouts)


def stable(in_use: float, *, pod: str = "old", **more) -> PoolReading:
    """A reading of stable's."""
    return pool(in_use, pod=pod, side=Side.STABLE, **more)


def samples(*rows: tuple[PoolReading, ...], step: float = 1.0, requests: float = 10.0):
    """Samples at step, 2·step and so on."""
    return [
        PoolSample((i + 1) * step, row, requests if row else 0.0, 9 * requests)
        for i, row in enumerate(rows)
    ]


def end(policy: PoolPolicy, *rows: tuple[PoolReading, ...], **more):
    """The assessment after these samples."""
    return assess_pools(fold_samples(DetectorState(), policy, samples(*rows, **more)), policy)


def reason(policy: PoolPolicy, *rows: tuple[PoolReading, ...], **more) -> str | None:
    """Why it failed, if it did."""
    failure = end(policy, *rows, **more).failure
    return failure.reason if failure else None


CALM = (stable(2, held=2.0),)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(pool(8),), (pool(8),)], "PoolSaturated", id="two samples above the limit"),
        pytest.param([(pool(8),), (pool(7),), (pool(8),)], None, id="never two in a row"),
        pytest.param([(pool(7.5),)] * 3, None, id="exactly at the limit is not above it"),
        pytest.param([(pool(8),), (pool(10),)], "PoolExhausted", id="nothing is left"),
        pytest.param(
            [(*(pool(0, pod=f"p{i}") for i in range(9)), pool(8))] * 2,
            "PoolSaturated",
            id="one pod of ten does not hide in the mean",
        ),
        pytest.param(
            [(pool(8), stable(8))] * 2,
            None,
            id="stable's pools are as full: not the canary's fault",
        ),
        pytest.param([(pool(8, maximum=None),)] * 2, None, id="no maximum, no share"),
        pytest.param([(stable(8),)] * 5, None, id="only stable"),
        pytest.param(
            [(pool(1, held=1, waiting=1),)] * 10, "ConnectionsWaiting", id="callers keep waiting"
        ),
        pytest.param(
            [(pool(1, held=1, timeouts=1),)] * 10, "ConnectionsWaiting", id="callers give up"
        ),
        pytest.param(
            [(pool(1, held=1, waiting=1),)] * 9, None, id="for seconds, as on a busy machine"
        ),
        pytest.param(
            [(pool(1, held=1, waiting=1),), (pool(1, held=1),)] * 5,
            None,
            id="waiting does not last",
        ),
        pytest.param(
            [(pool(1, held=1, waiting=1), stable(1, waiting=3))] * 20, None, id="both sides wait"
        ),
        pytest.param([(), ()], None, id="silence is no verdict"),
    ],
)
def test_a_pool_that_is_short_of_connections_fails(rows, expected):
    """The reason, or None."""
    assert reason(DEMO, *rows) == expected


CALM_PODS = (pool(1, held=1), stable(1, held=1))


@pytest.mark.parametrize(
    ("both", "canary", "expected"),
    [
        pytest.param(
            (pool(1, held=1, waiting=2), stable(1, waiting=2)),
            (pool(1, held=1, waiting=2), stable(1, held=1)),
            "ConnectionsWaiting",
            id="callers wait",
        ),
        pytest.param(
            (pool(10), stable(10)), (pool(10), stable(2, held=2)), "PoolExhausted", id="pools full"
        ),
    ],
)
def test_a_slow_database_that_both_versions_share_is_not_the_canarys_fault(both, canary, expected):
    """The canary may recover a sample later; time that stable shared never counts against it."""
    shared = [CALM_PODS] * 3 + [both] * 25
    assert reason(DEMO, *shared, canary, *[CALM_PODS] * 3) is None
    assert reason(DEMO, *shared, *[canary] * 10) == expected


def test_a_full_pool_in_warm_up_is_not_counted():
    """New pods fill their pools first."""
    policy = PoolPolicy(warm_up=5.0)
    assert reason(policy, *[(pool(8),)] * 5) is None
    assert reason(policy, *[(pool(8),)] * 8) == "PoolSaturated"


def leaking(per_second: float, seconds: int, *, maximum: float = 10.0, idle: int = 0):
    """Rows at 1 s: half a connection busy, and a leak that begins after `idle` seconds."""
    return [
        (
            pool(min(0.5 + max(t - idle, 0) * per_second, maximum), held=0.5, maximum=maximum),
            *CALM,
        )
        for t in range(seconds)
    ]


@pytest.mark.parametrize("maximum", [10.0, 20.0])
@pytest.mark.parametrize("per_second", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("window", [20.0, 30.0])
def test_a_leak_is_seen_before_the_pool_is_three_quarters_full(maximum, per_second, window):
    """In the short windows of the demo, whatever the pace."""
    policy = PoolPolicy(window=window, warm_up=0.0)
    rows = leaking(per_second, 200, maximum=maximum, idle=10)
    failure = end(policy, *rows).failure
    assert failure is not None
    assert failure.reason == "ConnectionLeak"
    assert rows[int(failure.at)][0].in_use <= 0.75 * maximum


def test_a_leak_is_told_in_plain_words():
    """How many requests each lost connection costs, and how long the pool still lasts."""
    policy = PoolPolicy(warm_up=0.0)
    rows = [
        (pool(5 + t / 100, held=75.0, seconds=15.0, maximum=50.0), stable(5, held=75.0, seconds=15))
        for t in range(15, 7200, 15)
    ]
    verdict = end(policy, *rows, step=15.0, requests=750.0)
    assert verdict.failure is not None
    assert verdict.failure.at <= 15 * 60
    assert verdict.sentence == (
        "new leaks 1 connection per 5,000 requests; the pool of 50 is empty in 64 min"
    )


def test_what_stable_holds_as_well_is_no_leak():
    """Both do something that takes minutes."""
    rows = [
        (pool(0.5 + t / 10, held=0.5, maximum=100), stable(0.5 + t / 10, held=0.5, maximum=100))
        for t in range(100)
    ]
    assert reason(DEMO, *rows) is None


def test_a_surge_is_no_leak():
    """Ten times the traffic takes ten times the connections, and gives them back."""
    rows = [(pool(n, held=n, maximum=50), *CALM) for n in [2] * 30 + [20] * 60 + [2] * 30]
    assert reason(DEMO, *rows) is None


def test_a_pod_that_restarts_begins_anew():
    """Its leaked connections are gone with it; others are not blamed."""
    rows = [(pool(min(t % 15, 6) / 3, held=0.0), *CALM) for t in range(120)]
    assert reason(DEMO, *rows) is None


def test_failing_is_for_ever():
    """Whatever comes after."""
    rows = [(pool(8),)] * 2 + [(pool(0, held=0.0), *CALM)] * 100
    verdict = end(DEMO, *rows)
    assert verdict.failed
    assert not verdict.step_pass
    assert not verdict.final_pass


@pytest.mark.parametrize(
    ("seconds", "requests", "expected"),
    [
        pytest.param(10, 10.0, (True, False), id="some traffic: the step may pass"),
        pytest.param(39, 10.0, (True, False), id="not yet twice the window"),
        pytest.param(41, 10.0, (True, True), id="twice the window under traffic"),
        pytest.param(100, 0.0, (False, False), id="without traffic nothing is shown"),
    ],
)
def test_passing_needs_the_window_twice_under_traffic(seconds, requests, expected):
    """(step, final)."""
    rows = [(pool(1 if requests else 0, held=1.0 if requests else 0.0), *CALM)] * seconds
    verdict = end(DEMO, *rows, requests=requests)
    assert (verdict.step_pass, verdict.final_pass) == expected


def test_time_under_traffic_does_not_depend_on_how_often_it_is_read():
    """Counters that move every five seconds, read every second: all of the time counts."""
    series = [
        PoolSample(t, (pool(1, held=5.0 if t % 5 == 0 else 0.0), *CALM), 50.0 * (t % 5 == 0), 450.0)
        for t in range(1, 46)
    ]
    assert not assess_pools(fold_samples(DetectorState(), DEMO, series[:35]), DEMO).final_pass
    assert assess_pools(fold_samples(DetectorState(), DEMO, series), DEMO).final_pass


def test_a_state_from_before_silence_was_counted_is_read():
    """An operator that is replaced in mid-release goes on where the one before stopped."""
    state = fold_samples(DetectorState(), DEMO, [PoolSample(1, (pool(1, held=1.0),), 10.0, 0.0)])
    text = store_pool(state, None, None).model_dump_json(exclude={"unheard"})
    assert restore_pool(StoredPool.model_validate_json(text)) == state


def test_an_hour_without_traffic_is_not_an_hour_under_traffic():
    """One request after a long silence speaks for a minute at most."""
    silence = [PoolSample(t, (pool(0, held=0.0),), 0.0, 0.0) for t in range(1, 3600)]
    state = fold_samples(
        DetectorState(), DEMO, [*silence, PoolSample(3600, (pool(1, held=1.0),), 10.0, 0.0)]
    )
    assert state.covered == 61.0


def shares(canary: float, requests: float, minutes: int):
    """Samples of a minute of pools without hold times; stable has 9 × `requests` and 10 in use."""
    return [
        PoolSample(
            60.0 * (t + 1),
            (
                pool(canary + t / 5, held=None, seconds=60, maximum=100),
                stable(10, held=None, seconds=60, maximum=100),
            ),
            requests,
            540,
        )
        for t in range(minutes)
    ]


def test_without_hold_times_a_share_of_connections_that_grows_is_a_leak():
    """And a canary that just uses its share, or more traffic, is not."""
    failure = fold_samples(DetectorState(), HOUR, shares(1, 60, 120)).failure
    assert failure is not None
    assert failure.reason == "ConnectionLeak"
    steady = [
        PoolSample(
            s.time, (pool(n, held=None, seconds=60, maximum=100), s.readings[1]), 60 * n, 540
        )
        for s, n in zip(shares(1, 60, 120), [1] * 40 + [5] * 80, strict=True)
    ]
    assert fold_samples(DetectorState(), HOUR, steady).failure is None


READING = st.builds(
    PoolReading,
    st.sampled_from(["a", "b"]),
    st.just(Side.CANARY),
    st.just(1.0),
    st.floats(0, 10),
    st.one_of(st.none(), st.just(20.0)),
    st.one_of(st.none(), st.just(0.0)),
    st.one_of(st.none(), st.floats(0, 10)),
    st.one_of(st.none(), st.just(0.0)),
)
STABLE = st.builds(
    PoolReading,
    st.sampled_from(["c", "d"]),
    st.just(Side.STABLE),
    st.just(1.0),
    st.floats(0, 10),
    held=st.one_of(st.none(), st.floats(0, 10)),
)
ROWS = st.lists(
    st.tuples(st.lists(READING, max_size=2), st.lists(STABLE, max_size=2)).map(
        lambda pair: tuple({r.pod: r for r in (*pair[0], *pair[1])}.values())
    ),
    max_size=40,
)


@given(ROWS, st.lists(st.integers(0, 60), max_size=4))
def test_folding_in_pieces_with_a_restart_in_between_is_folding_in_one_go(rows, cuts):
    """Exactly, also through JSON."""
    series = samples(*rows)
    state = DetectorState()
    for begin, after in pairwise([0, *sorted(cuts), len(series)]):
        text = store_pool(state, None, None).model_dump_json()
        state = restore_pool(StoredPool.model_validate_json(text))
        state = fold_samples(state, DEMO, series[begin : max(after, begin)])
    assert state == fold_samples(DetectorState(), DEMO, series)


@given(ROWS)
def test_no_data_never_changes_the_verdict(rows):
    """Samples without readings leave pass and fail as they were."""
    state = fold_samples(DetectorState(), DEMO, samples(*rows))
    silent = [PoolSample(1000.0 + t, (), 0.0, 0.0) for t in range(5)]
    before, after = assess_pools(state, DEMO), assess_pools(fold_samples(state, DEMO, silent), DEMO)
    assert after.failed == before.failed
    assert after.final_pass <= before.final_pass


def test_the_state_stays_small():
    """It is kept in a Kubernetes status: a few kilobytes, however long the release."""
    rows = [(pool(3.3, held=3.1, seconds=15), *CALM)] * 2000
    state = fold_samples(DetectorState(), HOUR, samples(*rows, step=15.0))
    assert len(store_pool(state, None, None).model_dump_json()) < 8000


def line(pod: str, values: list[float], **labels: str) -> Series:
    """A series at 0, 1, 2 and so on."""
    points = tuple((float(t), v) for t, v in enumerate(values))
    return Series({"pod": pod} | labels if pod else labels, points)


def test_series_become_samples():
    """Milliseconds become seconds, a restart counts what is new, one maximum serves all pools."""
    series = PoolSeries(
        in_use=[line("new", [1, 2, 3])],
        maximum=[line("", [10, 10, 0])],
        label="pod",
        side_of={"new": Side.CANARY}.get,
        waiting=[line("new", [0, 1, 0])],
        timeouts=[line("new", [5, 7, 7])],
        hold=[line("new", [1000, 1500, 200])],
        hold_unit=0.001,
    )
    assert build_pool_samples(series, (), Rounds(0.0, (1.0, 2.0))) == (
        PoolSample(1.0, (PoolReading("new", Side.CANARY, 1.0, 2, 10, 1, 0.5, 2),)),
        PoolSample(2.0, (PoolReading("new", Side.CANARY, 1.0, 3, None, 0, 0.2, 0),)),
    )


def test_after_a_gap_the_reading_covers_all_of_it():
    """What was given back meanwhile must not count against one interval's use."""
    gap = ((0.0, 2.0), (3.0, 2.0))
    hold = ((0.0, 10.0), (3.0, 16.0))
    series = PoolSeries(
        in_use=[Series({"pod": "new"}, gap)],
        maximum=10,
        label="pod",
        side_of={"new": Side.CANARY}.get,
        hold=[Series({"pod": "new"}, hold)],
    )
    (reading,) = (
        r for s in build_pool_samples(series, (), Rounds(0.0, (1.0, 2.0, 3.0))) for r in s.readings
    )
    assert (reading.seconds, reading.in_use, reading.held) == (3.0, 2.0, 6.0)


def test_a_pause_of_one_pod_is_no_leak() -> None:
    """For four seconds nothing is given back, then all of it: a stalled process, not a leak."""
    quiet = [(pool(0, held=0.2), *CALM)] * 12
    stalled = [(pool(5, held=0.0), *CALM)] * 4
    caught_up = [(pool(0, held=20.0), *CALM)]
    assert reason(DEMO, *quiet, *stalled, *caught_up, *quiet) is None


FULL_AND_IDLE = [
    ({"pool_name": "rw"}, {"pool_name": "ro"}),
    ({"pid": "11"}, {"pid": "12"}),
    ({"instance": "10.0.0.7:8080"}, {"instance": "10.0.0.7:9090"}),
    ({"role": "writing", "shard": "1"}, {"role": "reading", "shard": "1"}),
]


def scraped_pools(*pools: tuple[dict[str, str], float, float]) -> PoolAnswers:
    """Gauges of one canary pod as psycopg exports them: labels, in use and maximum of each pool."""
    place = {"pod": "new", "namespace": "prod", "job": "web"}

    def gauge(values: Iterable[float]) -> FoundSeries:
        named = zip(pools, values, strict=True)
        points = range(120)
        return FoundSeries(
            tuple(
                Series(place | own, tuple((float(t), value) for t in points))
                for (own, *_), value in named
            )
        )

    return PoolAnswers(
        gauge(most for _, _, most in pools),
        gauge(most for _, _, most in pools),
        ("pod",),
        "pod",
        {"new": Side.CANARY}.get,
        idle=gauge(most - busy for _, busy, most in pools),
    )


def judged(answers: PoolAnswers) -> tuple[list[str], DetectorState]:
    """Names of the pools, and what the fold makes of two minutes of them."""
    ends = Rounds(0.0, tuple(float(t) for t in range(1, 120)))
    pools = sample_pool(answers, ends)
    assert isinstance(pools.in_use, FoundSeries)
    assert isinstance(pools.maximum, FoundSeries)
    series = PoolSeries(pools.in_use.series, pools.maximum.series, "pod", pools.side_of)
    seen = [replace(one, canary_requests=1.0) for one in build_pool_samples(series, (), ends)]
    return sorted({r.pod for s in seen for r in s.readings}), fold_samples(
        DetectorState(), PoolPolicy(), seen
    )


@pytest.mark.parametrize(("full", "idle"), FULL_AND_IDLE)
def test_q01_a_full_pool_beside_an_idle_one_is_full(
    full: dict[str, str], idle: dict[str, str]
) -> None:
    """10 of 10 and 0 of 90 are not 10 of 100, whatever label tells the pools apart."""
    names, state = judged(scraped_pools((full, 10, 10), (idle, 0, 90)))
    assert len(names) == 2
    assert state.failure is not None
    assert state.failure.reason == "PoolExhausted"
    assert "has 10 of 10 connections in use" in state.failure.sentence


def test_q01_labels_of_the_scrape_tell_no_pools_apart() -> None:
    """Two monitors that scrape one process see one pool, with one name."""
    names, state = judged(scraped_pools(({"job": "a"}, 7, 10), ({"job": "b"}, 7, 10)))
    assert names == ["new"]
    assert [(track.in_use, track.maximum) for track in state.tracks] == [(7, 10)]


def test_q01_a_hold_time_of_all_pools_together_hides_no_full_one() -> None:
    """It tells nothing about one of them, so that one is judged by its gauges."""
    series = PoolSeries(
        [line("new", [10, 10, 10], pool="rw"), line("new", [0, 0, 0], pool="ro")],
        10,
        "pod",
        {"new": Side.CANARY}.get,
        hold=[line("new", [0, 10, 20])],
    )
    found = [r for s in build_pool_samples(series, (), Rounds(0.0, (1.0, 2.0))) for r in s.readings]
    assert [(r.pod, r.in_use, r.held) for r in found[:2]] == [
        ("new/rw", 10, None),
        ("new/ro", 0, None),
    ]


@pytest.mark.parametrize(
    ("hold", "verdict"), [(None, Verdict.NO_DATA), ([0.0, 1.0, 2.0], Verdict.PASS)]
)
def test_q04_an_unlimited_pool_has_no_share(hold: list[float] | None, verdict: Verdict) -> None:
    """A maximum of 0 is said; where hold times are exported a leak is looked for all the same."""
    rounds = Rounds(0.0, (1.0, 2.0))
    found = [FoundSeries((line("new", values),)) for values in ([1, 1, 1], [0, 0, 0])]
    held = FoundSeries((line("new", hold),)) if hold else None
    pool = PoolSamples(found[0], found[1], None, None, held, 1.0, "pod", {"new": Side.CANARY}.get)
    metric = Metric.model_validate({"name": "pool", "pool": {"preset": "otel-db"}})
    analysis = Analysis.model_validate(
        {"warmUp": "0s", "metrics": [{"name": "pool", "pool": {"preset": "otel-db"}}]}
    )
    given = AnalysisInput(analysis, 2.0, 0.0)
    result = analyze_pool(metric, (Samples(rounds, 0.0, {}), pool), None, given, ())
    assert result.step is verdict
    assert ("unlimited" in result.status.message) is (verdict is Verdict.NO_DATA)


def test_a_steady_leak_is_measured_as_in_the_example_of_the_window() -> None:
    """A pool of 20, 10 in use by 20 requests/s, and one lost every 100 s."""
    window = SlidingWindow("c", first=0.0)
    for number in range(1, 121):
        in_use = 10.0 + number / 20
        reading = PoolReading("c", Side.CANARY, 5.0, in_use, maximum=20.0, held=50.0)
        window = window.add_reading(reading, 100.0, 30.0)
    whole, old, new = (
        window.estimate_leak(*part).residual  # type: ignore[union-attr]
        for part in ((20,), (10, 10), (10,))
    )
    assert (whole, old, new) == pytest.approx((3.0, 1.5, 4.5), abs=0.03)
    rate = estimate_leak_rate(window)
    assert (rate.requests_per_leak, rate.empty_in) == pytest.approx((2000, 400))


@pytest.mark.parametrize(("share", "minutes"), [(0.25, 12), (0.15, 41), (0.12, None)])
def test_a_share_of_connections_is_found_as_soon_as_the_example_says(
    share: float, minutes: int | None
) -> None:
    """At 10 % of the requests; up to 12.2 % of the connections are tolerated."""
    bet, found = ShareBet(), None
    for minute in range(1, 241):
        bet = bet.add_sample(60.0, (share, 1 - share), (60.0, 540.0), 60.0)
        if found is None and bet.evidence >= 100:
            found = minute
    assert found == minutes
