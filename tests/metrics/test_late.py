"""Scrapes that can be read only after their time was read."""

import pytest

from canary.core.series import FoundSeries, NoData, Series
from canary.metrics.late import LONGEST, SHORTEST, LateSampleCorrector

POD = {"pod": "a"}


def counted(*points: tuple[float, float]) -> FoundSeries:
    """One pod's counter."""
    return FoundSeries((Series(POD, points),))


def points(answer: object) -> tuple[tuple[float, float], ...]:
    """What the only series of an answer says."""
    assert isinstance(answer, FoundSeries)
    return answer.series[0].points


def test_what_came_late_counts_right_after_the_end_that_was_read_without_it():
    """The scrape of 9.8 was not there when 10.0 was read: it belongs to what comes after."""
    source = LateSampleCorrector()
    source.corrected("q", 10.0, counted((4.8, 100.0)))
    second = source.corrected("q", 15.0, counted((4.8, 100.0), (9.8, 107.0), (14.8, 109.0)))
    assert points(second) == ((4.8, 100.0), (10.001, 107.0), (14.8, 109.0))


def test_every_release_that_asks_again_gets_the_same_times():
    """The correction holds for a release that is a few rounds behind the others."""
    source = LateSampleCorrector()
    source.corrected("q", 10.0, counted((4.8, 100.0)))
    source.corrected("q", 15.0, counted((4.8, 100.0), (9.8, 107.0), (14.8, 107.0)))
    third = source.corrected("q", 20.0, counted((9.8, 107.0), (14.8, 107.0), (19.8, 109.0)))
    assert points(third) == ((10.001, 107.0), (14.8, 107.0), (19.8, 109.0))


def test_reading_waits_longer_once_a_sample_came_late():
    """Twice as long each time, up to a bound; shorter again after ten quiet minutes."""
    source = LateSampleCorrector()
    late = []
    for turn in range(8):
        end = 10.0 * turn
        seen = [(10.0 * one - 0.2, float(one)) for one in range(turn)]
        source.corrected("q", end, counted((-50.0, 0.0), *seen))
        late.append(source.lag)
    assert late[:4] == [SHORTEST, SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
    assert late[-1] == LONGEST
    source.corrected("q", 700.0, counted((700.0, 80.0)))
    assert source.lag == LONGEST / 2


def test_a_prometheus_that_goes_backwards_is_no_data():
    """Two servers behind one address: the other one has not scraped that far yet."""
    source = LateSampleCorrector()
    source.corrected("q", 10.0, counted((4.8, 100.0), (9.8, 107.0)))
    answer = source.corrected("q", 11.0, counted((3.1, 90.0), (8.1, 99.0)))
    assert isinstance(answer, NoData)
    assert answer.partial
    assert "is older than the newest one of an earlier answer" in answer.why


def test_values_in_time_change_nothing():
    """Counters that rise are not late."""
    source = LateSampleCorrector()
    for end in (10.0, 11.0, 12.0):
        asked = counted(*((end - back, 100.0 + end - back) for back in (2.0, 1.0, 0.0)))
        assert source.corrected("q", end, asked) == asked
    assert source.lag == SHORTEST


@pytest.mark.parametrize("other", ["r", ("q", 5.0)])
def test_questions_are_kept_apart(other: object):
    """Another template, or another step, has values of its own."""
    source = LateSampleCorrector()
    source.corrected("q", 10.0, counted((10.0, 100.0)))
    asked = counted((10.0, 3.0), (11.0, 4.0))
    assert source.corrected(other, 11.0, asked) == asked


def test_a_sample_is_counted_although_many_other_ends_were_read_since():
    """A release asks once per interval; others ask every second, about targets of their own."""
    source = LateSampleCorrector()
    source.corrected("q", 10.0, counted((4.8, 100.0)))
    for end in range(11, 20):
        other = Series({"pod": "b"}, ((float(end), 5.0),))
        source.corrected("q", float(end), FoundSeries((other,)))
    found = source.corrected("q", 20.0, counted((4.8, 100.0), (9.8, 150.0), (14.8, 200.0)))
    assert points(found) == ((4.8, 100.0), (10.001, 150.0), (14.8, 200.0))


def test_targets_that_are_gone_are_not_kept():
    """A new pod at each release must not make the memory grow."""
    source = LateSampleCorrector()
    for number in range(100):
        pod = Series({"pod": f"auth-{number}"}, ((10.0 * number, 1.0),))
        source.corrected("q", 10.0 * number, FoundSeries((pod,)))
        source.forget(10.0 * number - 300.0)
    assert len(source._reads["q"]) == 31


def test_silence_is_passed_on():
    """Nothing to correct, nothing to remember."""
    assert LateSampleCorrector().corrected("q", 10.0, NoData("none")) == NoData("none")
    assert LateSampleCorrector().corrected("q", 10.0, FoundSeries(())) == FoundSeries(())
