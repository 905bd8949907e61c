"""Bars and columns, exact to the cell."""

import pytest

from canary.render.bars import draw_bar, fit_end, fit_text, glyphs_for, place_labels

UNICODE, ASCII = glyphs_for("utf-8"), glyphs_for("ascii")


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        pytest.param(0.0, "───────┼──", id="empty"),
        pytest.param(0.25, "━━╾────┼──", id="half a cell"),
        pytest.param(0.74, "━━━━━━━┼──", id="just below the mark it is not reached"),
        pytest.param(0.75, "━━━━━━━╋──", id="at the mark it is"),
        pytest.param(1.0, "━━━━━━━╋━━", id="full"),
        pytest.param(7.0, "━━━━━━━╋━━", id="more than full is full"),
        pytest.param(-1.0, "───────┼──", id="less than nothing is empty"),
        pytest.param(float("nan"), "───────┼──", id="not a number is empty"),
    ],
)
def test_bar_with_a_mark_at_three_quarters(share: float, drawn: str) -> None:
    """Ten cells."""
    assert draw_bar(share, 10, [0.75], "red", UNICODE).plain == drawn


def test_text_is_cut_and_padded_to_the_cell() -> None:
    """Wide letters count twice."""
    assert fit_text("abcdef", 4, UNICODE) == "abc…"
    assert fit_text("abcdef", 4, ASCII) == "a..."
    assert fit_text("中文中文", 5, UNICODE) == "中文…"
    assert fit_text("ab", 4, UNICODE, right=True) == "  ab"
    assert fit_text("abc", 0, UNICODE) == ""


def test_a_long_name_keeps_its_end() -> None:
    """Instances differ in their last letters."""
    assert fit_end("prod/auth-7d9c5-xk2p9", 8, UNICODE) == "…5-xk2p9"


def test_labels_never_overlap() -> None:
    """The first ones have precedence, at the edges they stay inside."""
    places = [(5, "5", ""), (6, "100", ""), (9, "10", ""), (0, "25", "")]
    assert place_labels(places, 10).plain == "25   5  10"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_without_line_drawing_it_is_ascii(encoding: str) -> None:
    """Also where the encoding is unknown."""
    assert glyphs_for(encoding) == ASCII
