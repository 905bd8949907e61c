"""Points in time as people type them."""

import pytest

from canary.analyze.time_range import parse_time
from canary.errors import UsageError
from canary.text.format import format_short_time

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("now", NOW, id="now"),
        pytest.param("-2h", NOW - 7200, id="hours ago"),
        pytest.param("-7d", NOW - 7 * 86_400, id="days ago"),
        pytest.param("-1d12h", NOW - 1.5 * 86_400, id="days and hours ago"),
        pytest.param("1700000000", 1_700_000_000.0, id="seconds since the epoch"),
        pytest.param("2026-03-01T10:00:00Z", 1_772_359_200.0, id="UTC"),
        pytest.param("2026-03-01T12:00:00+02:00", 1_772_359_200.0, id="with a zone"),
        pytest.param("2026-03-01 10:00", 1_772_359_200.0, id="without a zone: UTC"),
    ],
)
def test_a_time_is_read(text, seconds):
    """Seconds since the epoch."""
    assert parse_time(text, NOW, "--from") == seconds


@pytest.mark.parametrize("text", ["", "-", "2h", "-2", "-2 h", "-d", "noon", "2026-13-01", "1e9"])
def test_anything_else_is_refused_with_its_option(text):
    """And with what is expected."""
    with pytest.raises(UsageError, match=r"--from: expected 2026-03-01T10:00:00Z, .* found"):
        parse_time(text, NOW, "--from")


def test_a_time_is_shown_in_utc():
    """Without the year, to the minute."""
    assert format_short_time(1_772_359_200.0) == "03-01 10:00Z"


def test_p20_a_moment_in_milliseconds_is_refused():
    """It would be in the year 58,000."""
    with pytest.raises(
        UsageError, match=r"--start: expected seconds since the epoch.*milliseconds"
    ):
        parse_time("1795998000000", 0.0, "--start")
