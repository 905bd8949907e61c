"""Numbers and texts as people read them."""

import math

import pytest

from canary.text.format import (
    format_amount,
    format_count,
    format_percent,
    format_stopwatch,
    human_duration,
    split_camel_case,
)
from canary.text.sanitize import escape_html_text, make_encodable, strip_controls


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        pytest.param(None, "–", id="no requests: no share"),
        pytest.param(math.nan, "–", id="not a number is unknown"),
        pytest.param(0.0, "0 %", id="nothing is 0"),
        pytest.param(1.0, "100 %", id="all is 100"),
        pytest.param(0.25, "25 %", id="no digits that do not count"),
        pytest.param(0.031, "3.1 %", id="two digits that count"),
        pytest.param(0.00099, "0.099 %", id="a small share is not rounded to 0"),
        pytest.param(0.9996, "99.96 %", id="nearly all is not rounded to 100"),
        pytest.param(1e-9, "< 0.0001 %", id="almost nothing is still not 0"),
        pytest.param(1 - 1e-9, "> 99.9999 %", id="almost all is still not 100"),
    ],
)
def test_percent_never_says_all_or_nothing_when_it_is_not(ratio: float | None, words: str) -> None:
    """A failed login among a million is not 0 %."""
    assert format_percent(ratio) == words


@pytest.mark.parametrize(
    ("seconds", "words", "watch"),
    [
        pytest.param(8.4, "8 s", "0:08", id="seconds"),
        pytest.param(59.7, "1 min", "0:59", id="a rounded minute is a minute"),
        pytest.param(67, "1 min 7 s", "1:07", id="minutes"),
        pytest.param(7500, "2 h 5 min", "2:05:00", id="hours"),
        pytest.param(-5, "-5 s", "-0:05", id="before the start"),
    ],
)
def test_times(seconds: float, words: str, watch: str) -> None:
    """In words for sentences, like a stop-watch for columns."""
    assert (human_duration(seconds), format_stopwatch(seconds)) == (words, watch)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.75, "0.75"), (2.06, "2.1"), (340.2, "340"), (2e6, "2e+06"), (math.inf, "∞")],
)
def test_amounts_are_short(value: float, words: str) -> None:
    """Evidence runs over fifteen orders of magnitude and has one column."""
    assert format_amount(value) == words


def test_what_is_not_a_number_is_said_to_be_unknown() -> None:
    """Never `nan` in front of a person."""
    assert (format_amount(math.nan), format_count(math.inf), human_duration(None)) == (
        "–",
        "–",
        "–",
    )


def test_text_cannot_steer_a_terminal() -> None:
    """Escape sequences, line ends, right-to-left marks and lone surrogates lose their power."""
    assert strip_controls("a\x1b[2Jb\r\nc\u202ed\ud800") == "a�[2Jb c�d�"


def test_signs_become_ascii_where_there_is_nothing_else() -> None:
    """Known signs have a likeness, letters lose their accents, the rest is a question mark."""
    assert make_encodable("10 × – é 中", "ascii") == "10 x - e ?"


def test_constants_become_words() -> None:
    """CamelCase as a person would say it."""
    assert split_camel_case("RolledBack") == "Rolled back"


def test_html_is_escaped_and_keeps_numbers_with_their_percent() -> None:
    """Quotes as well: texts stand in attributes too."""
    assert escape_html_text("<b>'\" 5 %") == "&lt;b&gt;&#x27;&quot; 5\u00a0%"
