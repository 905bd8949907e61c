"""Increments from cumulative counters, as sentences and as laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core.increments import Counters, Grid, Side, Tick, count_increments
from canary.core.rounds import Rounds
from canary.core.series import Series

SIDES = {"old": Side.STABLE, "new": Side.CANARY}


def series(pod: str, values: list[float | None]) -> Series:
    """A series on the grid 0, 1, 2, …; None where it is missing."""
    points = ((float(t), v) for t, v in enumerate(values) if v is not None)
    return Series({"pod": pod}, tuple(points))


def ticks(total, bad=(), started=None, since=None) -> tuple[Tick, ...]:
    """Increments of lists of values per pod, scraped every second."""
    length = max(len(v) for v in total.values())
    counters = Counters(
        [series(pod, v) for pod, v in total.items()],
        "pod",
        SIDES.get,
        bad=[series(pod, v) for pod, v in dict(bad).items()],
        started=started,
    )
    begin = 0.0 if since is None else since
    ends = tuple(float(t) for t in range(1, length) if t > begin)
    found = count_increments(counters, Rounds(begin, ends))
    assert isinstance(found, tuple), found
    return found


@pytest.mark.parametrize(
    ("total", "bad", "started", "expected"),
    [
        pytest.param([5, 7, 12], [1, 1, 3], {}, [(2, 0), (5, 2)], id="differences"),
        pytest.param([5, 7, 3], [1, 2, 1], {}, [(2, 1), (3, 1)], id="a reset counts what is new"),
        pytest.param([5, 7, 9], [3, 3, 1], {}, [(2, 0), (2, 1)], id="a series that restarts alone"),
        pytest.param(
            [5, None, 9], [1, None, 2], {}, [None, (4, 1)], id="a gap's increment comes at its end"
        ),
        pytest.param(
            [5, 5, 15], [0, 0, 0], {}, [(0, 0), (10, 0)], id="a late scrape counts when it is in"
        ),
        pytest.param(
            [5, 7, 9], [None, None, 1], {}, [(2, 0), (2, 1)], id="a first error counts from zero"
        ),
        pytest.param(
            [5, 7, 9], [2, None, 3], {}, [(2, 0), (2, 1)], id="an absent error series is no reset"
        ),
        pytest.param([None, 7, 9], [], {}, [None, (2, 0)], id="first seen: only a baseline"),
        pytest.param(
            [None, 7, 9], [None, 1, 1], {"new": 0.5}, [(7, 1), (2, 0)], id="known to be new: zero"
        ),
        pytest.param(
            [5, 6, 7], [0, 5, 5], {}, [(1, 1), (1, 0)], id="never more bad requests than requests"
        ),
    ],
)
def test_increments_of_one_pod(total, bad, started, expected):
    """(requests, bad requests) per interval, or None where the pod was not seen."""
    found = ticks({"new": total}, {"new": bad} if bad else {}, started)
    assert [
        (t.total(Side.CANARY), t.bad(Side.CANARY)) if t.increments else None for t in found
    ] == expected


def test_sides_are_summed_over_their_pods_and_strangers_left_out():
    """One reset pod does not hide in the sum of the others."""
    found = ticks({"old": [10, 20], "new": [7, 3], "other": [0, 999]})
    assert (found[0].total(Side.STABLE), found[0].total(Side.CANARY)) == (10, 3)
    assert {i.name for i in found[0].increments} == {"old", "new"}


def test_a_grid_of_fractions_is_refused():
    """Prometheus' client would round it to another one."""
    with pytest.raises(ValueError, match="whole seconds"):
        Grid(0.5, 10, 1)


VALUES = st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=2, max_size=30)


@given(VALUES, st.data())
def test_the_sum_does_not_depend_on_where_the_range_is_cut(values, data):
    """Each piece is read with history before it, and counts only what is its own."""
    cut = data.draw(st.integers(0, len(values) - 1))
    whole = ticks({"new": values})
    first = ticks({"new": values[: cut + 1]})
    second = ticks({"new": values}, since=float(cut))
    assert sum(t.total(Side.CANARY) for t in whole) == sum(
        t.total(Side.CANARY) for t in (*first, *second)
    )
    assert [t.end for t in (*first, *second)] == [t.end for t in whole]


@given(VALUES, st.integers(0, 3))
def test_no_increment_is_negative_and_nothing_is_worse_than_all_bad(values, spread):
    """Whatever the resets and gaps."""
    bad = [None if v is None else v // (1 + spread) for v in values]
    for tick in ticks({"new": values}, {"new": bad}):
        assert 0 <= tick.bad(Side.CANARY) <= tick.total(Side.CANARY)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.data())
def test_resets_lose_nothing_that_was_scraped(steps, data):
    """A counter that restarts right after a scrape counts as one that never did."""
    resets = data.draw(st.sets(st.integers(0, len(steps) - 1), max_size=2))
    value, values = 0, [0]
    for i, step in enumerate(steps):
        value = step if i in resets and 2 * step <= value else value + step
        values.append(value)
    assert sum(t.total(Side.CANARY) for t in ticks({"new": values})) == sum(steps)


def routed(start: list[float | None], other: list[float | None], instance: str) -> tuple[Tick, ...]:
    """What a router counted for `new`, beside what the router `a` counted for `old`."""
    found = [
        Series({"service": "old", "instance": "a"}, series("", other).points),
        Series({"service": "new", "instance": instance}, series("", start).points),
    ]
    counters = Counters(found, "service", SIDES.get)
    seen = count_increments(counters, Rounds(0.0, tuple(float(t) for t in range(1, len(start)))))
    assert isinstance(seen, tuple)
    return seen


@pytest.mark.parametrize(
    ("values", "instance", "requests"),
    [
        pytest.param(
            [None, 7, 9], "a", 9, id="a backend that appears in a known router began at 0"
        ),
        pytest.param(
            [None, 7, 9], "b", 2, id="another router's counter is only a baseline at first"
        ),
        pytest.param([5, 7, 9], "a", 4, id="a counter that was there from the start is a baseline"),
    ],
)
def test_a_backend_that_appears(values: list[float | None], instance: str, requests: int) -> None:
    """A router's counter for a backend appears with the backend's first request."""
    ticks_seen = routed(values, [1, 1, 1], instance)
    assert sum(tick.total(Side.CANARY) for tick in ticks_seen) == requests
