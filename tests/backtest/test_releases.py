"""The releases in a history: which versions were there when, and what became of them."""

import pytest

from canary.backtest.releases import (
    GroundTruth,
    VersionLifetime,
    VersionMatcher,
    find_in_window,
    find_lifetimes,
    find_releases,
)
from canary.backtest.releases_csv import parse_releases
from canary.core.series import Series
from canary.errors import UsageError

PODS = VersionMatcher("auth", None, ())
LABEL = VersionMatcher("auth", "version", ())
OLD, NEW, THIRD, OURS = "auth-5d4f6c7b89", "auth-66b8d9c4f7", "auth-7c9e5f8d6b", "auth-canary-9f6d"
END = 100_000.0


def pod(name: str, start: float, end: float) -> Series:
    """One pod, seen every minute."""
    times = range(int(start), int(end) + 1, 60)
    return Series({"pod": name}, tuple((float(time), 1.0) for time in times))


@pytest.mark.parametrize(
    ("name", "version"),
    [
        pytest.param("auth-66b8d9c4f7-x2b4z", NEW, id="a pod of the Deployment"),
        pytest.param("auth-canary-9f6d-x2b4z", OURS, id="a pod of our canary"),
        pytest.param("auth-worker-66b8d9c4f7-x2b4z", None, id="another Deployment"),
        pytest.param("auth-0", None, id="a pod of a StatefulSet"),
        pytest.param("shop-66b8d9c4f7-x2b4z", None, id="somebody else's"),
    ],
)
def test_a_pods_name_tells_its_version(name, version):
    """The ReplicaSet's name is what is left without the pod's own five characters."""
    assert PODS.version_of(name) == version


def test_a_version_lives_as_long_as_any_of_its_pods_and_can_come_back():
    """Pods overlap into one life; a gap of more than five minutes begins another."""
    found = find_lifetimes(
        [
            pod(f"{OLD}-aaaaa", 0, 600),
            pod(f"{OLD}-bbbbb", 480, 1200),
            pod(f"{OLD}-ccccc", 6000, 7200),
            pod("shop-1-ddddd", 0, 600),
        ],
        PODS,
    )
    assert found == [VersionLifetime(OLD, 0.0, 1200.0), VersionLifetime(OLD, 6000.0, 7200.0)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            [VersionLifetime(OLD, 0, 5000), VersionLifetime(NEW, 4900, END)],
            [(NEW, GroundTruth.STAYED, 5000.0)],
            id="rolled out: the old version is gone soon after",
        ),
        pytest.param(
            [VersionLifetime(OLD, 0, END), VersionLifetime(NEW, 4900, 6000)],
            [(NEW, GroundTruth.TAKEN_BACK, None)],
            id="a canary that was taken back",
        ),
        pytest.param(
            [
                VersionLifetime(OLD, 0, 5000),
                VersionLifetime(NEW, 4900, 9000),
                VersionLifetime(OLD, 8900, END),
            ],
            [(NEW, GroundTruth.TAKEN_BACK, 5000.0)],
            id="rolled out, and rolled back later: coming back is no release",
        ),
        pytest.param(
            [VersionLifetime(OLD, 0, END), VersionLifetime(NEW, END - 1000, END)],
            [(NEW, GroundTruth.UNKNOWN, None)],
            id="still beside each other at the end",
        ),
        pytest.param(
            [
                VersionLifetime(OLD, 0, 8000),
                VersionLifetime(OURS, 4900, 8100),
                VersionLifetime(NEW, 7500, END),
            ],
            [(OURS, GroundTruth.STAYED, 8000.0)],
            id="a canary of ours that became the Deployment is one release",
        ),
        pytest.param(
            [VersionLifetime(OURS, 0, 600), VersionLifetime(OLD, 60, END)],
            [(OURS, GroundTruth.TAKEN_BACK, None)],
            id="a canary of ours is one, even if it was seen first",
        ),
        pytest.param(
            [VersionLifetime(OLD, 0, 4000), VersionLifetime(NEW, 9000, END)],
            [],
            id="nothing beside it: no release",
        ),
        pytest.param(
            [
                VersionLifetime(OLD, 0, 5000),
                VersionLifetime(NEW, 4900, 9100),
                VersionLifetime(THIRD, 9000, END),
            ],
            [(NEW, GroundTruth.STAYED, 5000.0), (THIRD, GroundTruth.STAYED, 9100.0)],
            id="two releases one after the other",
        ),
    ],
)
def test_releases_are_versions_that_appear_beside_an_older_one(found, expected):
    """Which, what became of it, and since when it was alone."""
    releases = find_releases(found, PODS, END, 7200.0)
    assert [(one.name, one.fate, one.alone_from) for one in releases] == expected


def test_a_release_is_judged_until_the_deadline_or_as_long_as_both_were_there():
    """And never beyond the next one."""
    rolled = find_releases(
        [VersionLifetime(OLD, 0, 5000), VersionLifetime(NEW, 4900, END)], PODS, END, 7200.0
    )
    beside = find_releases(
        [VersionLifetime(OLD, 0, END), VersionLifetime(NEW, 4900, 90_000)], PODS, END, 7200.0
    )
    next_ = find_releases(
        [
            VersionLifetime(OLD, 0, 5000),
            VersionLifetime(NEW, 4900, 9100),
            VersionLifetime(THIRD, 9000, END),
        ],
        PODS,
        END,
        7200.0,
    )
    assert (rolled[0].end, beside[0].end, next_[0].end) == (12_100.0, 90_000.0, 9000.0)


def test_versions_by_a_label_are_asked_for_by_their_values():
    """With --split-label nothing is known of pods."""
    release = find_releases(
        [VersionLifetime("v1", 0, 5000), VersionLifetime("v2", 4900, END)], LABEL, END, 7200.0
    )[0]
    assert [(one.label, one.value) for one in release.groups.canary] == [("version", "v2")]
    assert [(one.label, one.value) for one in release.groups.stable] == [("version", "v1")]


def test_a_window_finds_its_versions():
    """The one that appeared in it, the one before, and when that one went."""
    found = [VersionLifetime(OLD, 0, 5000), VersionLifetime(NEW, 4900, END)]
    groups, gone = find_in_window(found, PODS, 4800, 9000) or (None, None)
    assert groups == PODS.select_series(NEW, OLD)
    assert gone == 5000
    assert find_in_window(found, PODS, 20_000, 30_000) is None


def test_a_file_of_releases_is_read():
    """Times by the caller's reader; what is left out is to be found."""
    rows = parse_releases(
        ["start,end,canary,stable,good", "10,20,a=b,a=c,yes", "30,40,,,"],
        "r.csv",
        lambda text, _: float(text),
    )
    assert [(row.name, row.start, row.end, row.fate) for row in rows] == [
        ("10", 10.0, 20.0, GroundTruth.GOOD),
        ("30", 30.0, 40.0, GroundTruth.UNKNOWN),
    ]
    assert rows[0].groups is not None
    assert rows[1].groups is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param([], "found nothing", id="empty"),
        pytest.param(
            ["start,until", "1,2"], "expected the columns start and end", id="another column"
        ),
        pytest.param(["start,end"], "no release below the header", id="no rows"),
        pytest.param(["start,end", "2,1"], "line 2: expected start before end", id="backwards"),
        pytest.param(["start,end", "1"], "line 2: expected 2 fields", id="a short row"),
        pytest.param(
            ["start,end,good", "1,2,maybe"],
            "expected yes, no or an empty text in the column good",
            id="maybe",
        ),
        pytest.param(
            ["start,end,canary", "1,2,a=b"], "expected both canary and stable", id="one side only"
        ),
        pytest.param(
            ["start,end,canary,stable", "1,2,a,b=c"],
            "line 2, canary: expected label",
            id="no matcher",
        ),
    ],
)
def test_a_file_that_is_none_says_where(lines, message):
    """The line, and what is expected there."""
    with pytest.raises(UsageError) as caught:
        parse_releases(lines, "r.csv", lambda text, _: float(text))
    assert message in str(caught.value)
