"""Targets, caps and tallies."""

import pickle

import pytest

from canary.errors import UsageError
from canary.loadtest.generator import (
    LatencyHistogram,
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestTally,
    sum_tallies,
)
from canary.loadtest.generator.plan import check_allowed

CALM = LoadSchedule((LoadStage(10, 10, 1),))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://[::1]:80/x",
        "https://localhost",
        "http://app.localhost",
        "http://auth",
        "http://auth-canary:8080",
        "http://auth.prod.svc",
        "http://auth.prod.svc.cluster.local.",
    ],
)
def test_this_machine_and_names_of_a_cluster_are_loaded_without_asking(url):
    """Loopback, and names that no public DNS has."""
    check_allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://10.0.0.7",
        "http://auth.prod",
        "http://svc.example.com",
        "http://[2001:db8::1]",
        "http://2130706433",
        "http://0x7f.1",
        "http://localhost.example.com",
    ],
)
def test_other_targets_need_a_word(url):
    """Refused with the option that allows them; with it, let pass, and only that name."""
    with pytest.raises(UsageError, match="--allow-host") as refused:
        check_allowed(url)
    name = str(refused.value).rsplit(" ", 1)[1]
    check_allowed(url, [name.upper()])
    with pytest.raises(UsageError):
        check_allowed(url, ["other.example"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"url": "ftp://localhost"}, "a URL such as", id="another protocol"),
        pytest.param({"url": "localhost:80"}, "a URL such as", id="no protocol"),
        pytest.param({"url": "http://localhost:x"}, "a URL such as", id="a port that is none"),
        pytest.param({"url": "http://a\nb"}, "a URL such as", id="a line break"),
        pytest.param({"url": "http://ä.svc"}, "a URL such as", id="a name that is not encoded"),
        pytest.param({"url": "http://me:x@localhost"}, "user name", id="credentials"),
        pytest.param({"url": "http://localhost/?a=b"}, r"\?", id="a query"),
        pytest.param(
            {"schedule": LoadSchedule((LoadStage(1, 1e6, 1),))}, "50000 req", id="too high a rate"
        ),
        pytest.param({"schedule": LoadSchedule((LoadStage(1, 1, 1e6),))}, "14400 s", id="too long"),
        pytest.param({"workers": 65}, "at most 64", id="too many workers"),
        pytest.param({"workers": 0}, "above 0", id="no worker"),
        pytest.param({"max_in_flight": 20_001}, "at most 20000", id="too many in flight"),
        pytest.param({"max_in_flight": 2, "workers": 3}, "each of the 3", id="idle workers"),
        pytest.param({"timeout": 121.0}, "at most 120", id="too patient"),
        pytest.param({"timeout": float("nan")}, "found nan", id="no number"),
    ],
)
def test_caps_keep_a_typing_error_from_becoming_an_outage(changes, said):
    """What is no target, or above a cap, is no plan."""
    with pytest.raises(UsageError, match=said):
        LoadPlan(**{"url": "http://localhost", "schedule": CALM} | changes)


def test_workers_share_what_may_be_in_flight():
    """To the last one, and never more."""
    plan = LoadPlan("http://localhost", CALM, workers=3, max_in_flight=11)
    assert [plan.share(k) for k in range(3)] == [4, 4, 3]


def test_latencies_keep_three_digits():
    """Quantiles are within a thousandth, from microseconds to an hour; more is an hour."""
    seen = LatencyHistogram()
    for milliseconds in range(1, 1001):
        seen.add(milliseconds / 1000)
    assert seen.quantile(0.5) == pytest.approx(0.5, rel=0.002)
    assert seen.quantile(0.99) == pytest.approx(0.99, rel=0.002)
    assert seen.longest == pytest.approx(1.0, rel=0.002)
    assert seen.mean == pytest.approx(0.5005, rel=0.002)
    seen.add(1e9)
    seen.add(-1)
    assert seen.longest == pytest.approx(3600, rel=0.002)


def test_tallies_add_up_across_processes():
    """What was sent through a pipe counts like what was counted here."""
    one, two = RequestTally(due=2, ok=1, failed=1), RequestTally(due=3, ok=2, unsent=1)
    one.latency.add(0.01)
    two.latency.add(1.0)
    two.statuses["200"] += 2
    both = sum_tallies(one, pickle.loads(pickle.dumps(two)))  # noqa: S301 - our own
    assert (both.due, both.ok, both.failed, both.unsent, both.over) == (5, 3, 1, 1, 4)
    assert (both.latency.count, both.statuses["200"], both.error_ratio) == (2, 2, 0.25)
    assert both.latency.longest == pytest.approx(1.0, rel=0.002)
    assert (
        RequestTally().error_ratio,
        RequestTally().offered_ratio,
        RequestTally().latency.quantile(0.9),
    ) == (0, 1, 0)
