"""What follows from drains: leak, exhaustion, waiting, files, none; and how it is said."""

import json
from dataclasses import replace

import pytest

from canary.core.series import NoData
from canary.errors import ExitCode
from canary.leaktest.evaluation import (
    Drain,
    LeakKind,
    LeakTestPolicy,
    Reading,
    Round,
    evaluate_rounds,
    plan_next_load,
    summarize_drain,
)
from canary.leaktest.result import LeakTestObservations, build_result, format_rounded, format_span
from canary.loadtest.generator import RequestTally
from canary.results.json_document import render_json
from canary.results.junit import render_junit

POLICY = LeakTestPolicy(idle=4)
STEP = 3000


def rounds(floors, **gauges):
    """Four drains at rest, then one per floor, each after as many requests."""
    all_floors = [floors[0]] * 4 + list(floors[1:])
    made = []
    for number, floor in enumerate(all_floors):
        own = {name: values[max(0, number - 3)] for name, values in gauges.items()}
        made.append(Round(Drain(max(0, number - 3) * STEP, floor, maximum=50.0, **own)))
    return made


RISING = [0, 2, 3, 5, 6, 8, 9]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        pytest.param(rounds(RISING), LeakKind.LEAK, id="rises with every load: a leak"),
        pytest.param(
            rounds([0, 1, 2, 2, 2, 2, 2, 2, 2]), LeakKind.CLEAN, id="two, and no more: clean"
        ),
        pytest.param(rounds([0] * 7), LeakKind.CLEAN, id="nothing ever: clean"),
        pytest.param(rounds([0, 0]), LeakKind.UNDECIDED, id="one load: nothing is known"),
        pytest.param(rounds([0, 3, 0, 2, 0, 4, 0]), LeakKind.CLEAN, id="comes and goes: jobs"),
        pytest.param(
            rounds([9, 10, 11, 12, 13, 14, 15]), LeakKind.UNDECIDED, id="little, beside nine"
        ),
        pytest.param(
            rounds([0, 0, 50], full=["", "", "main"]), LeakKind.EXHAUSTED, id="empty at rest"
        ),
        pytest.param(
            rounds([0] * 4, waiting=[0, 0, 2, 1]), LeakKind.WAITING, id="callers wait at rest"
        ),
        pytest.param(rounds([0] * 4, waiting=[0, 0, 0, 1]), LeakKind.UNDECIDED, id="once: not yet"),
        pytest.param(
            rounds([0] * 7, timeouts=[0, 0, 0, 0, 0, 2, 1]),
            LeakKind.WAITING,
            id="they give up at rest",
        ),
        pytest.param(
            rounds([0] * 9, files=[20, 30, 41, 49, 62, 70, 79, 92, 99]),
            LeakKind.FILES,
            id="file descriptors rise with every load",
        ),
        pytest.param(
            rounds([0] * 9, files=[20, 60, 65, 66, 67, 67, 67, 67, 67]),
            LeakKind.CLEAN,
            id="file descriptors of a pool that opens its connections",
        ),
    ],
)
def test_what_drains_say(made, kind):
    """One sentence each."""
    assert evaluate_rounds(made, POLICY).kind is kind


def test_what_stable_does_as_well_is_not_the_candidates_fault():
    """The same jobs on both sides cancel; a leak on top of them does not."""
    jobs = [0, 2, 3, 5, 6, 8, 9]
    both = [replace(one, stable=one.canary) for one in rounds(jobs)]
    assert evaluate_rounds(both, POLICY).kind is LeakKind.CLEAN
    more = [
        Round(replace(one.canary, in_use=2 * one.canary.in_use), one.canary) for one in rounds(jobs)
    ]
    assert evaluate_rounds([*more], POLICY).lost == 9
    steeper = rounds([0, 4, 8, 12, 17, 21, 25])
    beside = [Round(one.canary, replace(one.canary, in_use=0)) for one in steeper]
    assert evaluate_rounds(beside, POLICY).kind is LeakKind.LEAK


def test_the_floor_is_the_least_of_all_of_a_drain():
    """What is given back in it counts as given back; each pool for itself."""
    readings = [
        Reading({"a": 3, "b": 1}, {"a": 5, "b": 1}, waiting=2, timeouts=10, files=30),
        NoData("a hiccup"),
        Reading({"a": 1, "b": 2}, {"a": 5, "b": 1}, waiting=0, timeouts=10, files=31),
        Reading({"a": 2, "b": 1}, {"a": 5, "b": 1}, waiting=1, timeouts=12, files=29),
    ]
    drain = summarize_drain(readings, 700)
    assert drain == Drain(700, 2, "b", 6, waiting=0, timeouts=2, files=29, memory=None)


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        pytest.param([Reading({"a": 1})] * 2, "too few readings", id="two"),
        pytest.param([Reading({"a": 1})] * 3 + [NoData("gone")] * 4, "gone", id="mostly unread"),
        pytest.param(
            [Reading({"a": 1})] * 2 + [Reading({"a": 1, "b": 1})], "pools changed", id="a new pool"
        ),
    ],
)
def test_a_drain_that_was_not_seen_is_none(readings, why):
    """Not zero: nothing passes because nothing was read."""
    drain = summarize_drain(readings, 0)
    assert isinstance(drain, NoData)
    assert why in drain.why


def test_loads_grow_until_something_is_lost():
    """Twice the last one; then as many as lose one or two more; then what is missing to pass."""
    made, rate = rounds([0]), 100.0
    assert plan_next_load(made, [], POLICY, rate) == 100
    made = rounds([0, 0])
    assert plan_next_load(made, [100, 300], POLICY, rate) == 600
    assert plan_next_load(rounds([0, 3]), [STEP], POLICY, 10.0) == 10 * 20
    small = replace(POLICY, smallest=9000.0)
    assert plan_next_load(rounds([0, 3, 3]), [700, 700], small, 500.0) == 1.2 * 2 * STEP
    assert plan_next_load(rounds([0, 0, 3]), [700, 700], POLICY, rate) == 700
    assert plan_next_load(rounds([0, 0, 0, 0]), [100, 100, 5000], POLICY, rate) == pytest.approx(
        1.02 * (10_201 - 3 * STEP), abs=2
    )


def seen(made, **more):
    """What a test of these rounds saw."""
    tally = RequestTally(due=9000, ok=9000)
    tally.statuses["200"] = 9000
    given = {"rate": 60.0, "rest": 8.0, "tally": tally} | more
    return LeakTestObservations(
        "http://x", POLICY, rounds=tuple(made), finding=evaluate_rounds(made, POLICY), **given
    )


def test_a_leak_is_said_in_requests_and_minutes():
    """With the interval, and what to do; in every form that a pipeline reads."""
    told = build_result(seen(rounds([0, 1, 2, 3, 4, 5, 6, 7])))
    assert told.code is ExitCode.FAILED
    assert told.headline == (
        "leaks 1 connection per 3,000 requests; a pool of 50 is empty after 42 h at 1 requests/s"
    ).replace("42 h at 1", "42 min at 60")
    assert (
        "0 in use at rest before, 7 after 21,000 requests and 8 s of rest" in told.cases[0].sentence
    )
    assert told.cases[0].facts["slopePer1000"] == pytest.approx(1 / 3)
    assert told.next_steps[-1].endswith("/ConnectionLeak")
    assert json.loads(render_json(told))["facts"]["finding"] == "Leak"
    assert 'failures="1"' in render_junit(told)


@pytest.mark.parametrize(
    ("made", "more", "code", "said"),
    [
        pytest.param(rounds([0] * 7), {}, ExitCode.OK, "no leak in 9,000", id="clean"),
        pytest.param(
            rounds([0, 0]), {}, ExitCode.INCONCLUSIVE, "more requests are needed", id="too little"
        ),
        pytest.param(
            rounds([0] * 7),
            {"unreadable": "page gone"},
            ExitCode.INCONCLUSIVE,
            "connections in use cannot be read",
            id="the page is gone",
        ),
        pytest.param(
            rounds([0] * 7),
            {"tally": RequestTally(due=100, late=20, ok=80)},
            ExitCode.INCONCLUSIVE,
            "the load generator was the limit",
            id="not sent in time",
        ),
        pytest.param(
            rounds([0] * 7),
            {"tally": RequestTally(due=100, ok=80, failed=20)},
            ExitCode.INCONCLUSIVE,
            "too many requests failed",
            id="error pages take no connection",
        ),
        pytest.param(
            rounds(RISING),
            {"tally": RequestTally(due=100, late=20, ok=60, failed=20)},
            ExitCode.FAILED,
            "leaks 1 connection",
            id="a leak is one, whatever the generator did",
        ),
        pytest.param(
            rounds([0, 0]),
            {"died": "the candidate died: refused"},
            ExitCode.FAILED,
            "the candidate died: refused",
            id="died",
        ),
        pytest.param(
            rounds([0, 0]), {"interrupted": True}, ExitCode.INTERRUPTED, "interrupted", id="Ctrl-C"
        ),
        pytest.param(
            rounds([0, 0, 50], full=["", "", "main"]),
            {},
            ExitCode.FAILED,
            "the pool main has no free connection at rest",
            id="exhausted",
        ),
    ],
)
def test_how_it_ended(made, more, code, said):
    """Exit code and headline."""
    told = build_result(seen(made, **more))
    assert told.code is code
    assert said in told.headline


def test_requests_that_take_no_connection_are_asked_about():
    """A pass of a page that needs no database says little."""
    told = build_result(seen(rounds([0] * 7), busiest=0.0))
    assert told.code is ExitCode.OK
    assert "check that --requests reach the database" in told.next_steps[0]
    assert build_result(seen(rounds([0] * 7), busiest=2.0)).next_steps == ()


def test_memory_only_warns():
    """Caches fill; nobody is failed for that."""
    memory = [50e6 + number * 3e6 for number in range(9)]
    told = build_result(seen(rounds([0] * 9, memory=memory)))
    assert told.code is ExitCode.OK
    (case,) = [case for case in told.cases if case.name == "memory"]
    assert (
        "warning: memory was still growing at the end, by 0.95 MiB per 1,000 requests"
        in case.sentence
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(80, "80 s"), (4080, "68 min"), (100_000, "28 h"), (2_000_000, "23 days")],
)
def test_times_are_said_in_one_unit(seconds, said):
    """The one that a person would use."""
    assert format_span(seconds) == said


def test_two_digits_count():
    """More would pretend to be exact."""
    assert [format_rounded(value) for value in (4897, 213.4, 0.4)] == ["4,900", "210", "1"]
