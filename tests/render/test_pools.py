"""Pools on a terminal, in a pipe, for machines."""

import io

import pytest
from rich.console import Console

from canary.render.pools import (
    PoolSnapshot,
    PoolsView,
    choose_style,
    format_table,
    pools_document,
    sort_by_urgency,
)


def pool(pod: str, in_use: float, maximum: float | None = 10, **more) -> PoolSnapshot:
    """One of the service auth."""
    return PoolSnapshot("hikaricp", "prod", "auth", "stable", pod, "main", in_use, maximum, **more)


LEAKS = pool("auth-1", 2, held=4.2, empty_in=1200.0)
FULL = pool("auth-2", 10, waiting=3.0)
BUSY = pool("auth-3", 9)
CALM = pool("auth-4", 1, waiting=0.0, held=0.04)
UNKNOWN = pool("auth-5", 7, None)
ALL = sort_by_urgency([UNKNOWN, CALM, BUSY, LEAKS, FULL])


def drawn(
    width: int, height: int = 24, encoding: str = "utf-8", *, whole: bool = True
) -> list[str]:
    """The picture's lines on a terminal of this size."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, force_terminal=True, width=width, height=height, color_system=None)
    console.print(PoolsView(ALL, "5 connection pools", whole=whole))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


def test_the_nearest_to_its_end_comes_first() -> None:
    """Empty, then what will be, then the fullest; what has no maximum is last."""
    assert [one.pod for one in ALL] == ["auth-2", "auth-1", "auth-3", "auth-4", "auth-5"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal_and_every_pool_has_one(width: int) -> None:
    """Columns give way; ends are never wrapped."""
    lines = drawn(width)
    assert max(map(len, lines)) < width
    assert len(lines) == 2 + len(ALL) + 1


def test_a_low_terminal_keeps_the_pools_that_matter() -> None:
    """The rest is counted."""
    lines = drawn(100, 8, whole=False)
    assert len(lines) == 7
    assert "auth-2" in lines[2]
    assert lines[5].startswith("and 2 more")


def test_figures_that_are_old_say_why() -> None:
    """The picture stays, with a line of what keeps it from being newer, and as high as before."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, height=8, color_system=None)
    console.print(PoolsView(ALL, "5 pools", whole=False, trouble="Prometheus is away " * 9))
    lines = file.getvalue().splitlines()
    assert len(lines) == 7
    assert lines[1].startswith("Prometheus is away")
    assert lines[1].endswith("…")


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Bars, the 75 % line and signs have their likeness."""
    assert "".join(drawn(100, encoding="ascii")).isascii()


def test_the_picture_says_it_in_words() -> None:
    """Nothing is told by color alone."""
    lines = drawn(120)
    assert "exhausted" in lines[2]
    assert "20 min" in lines[3]
    assert "╋" in lines[4]
    assert "7/?" in lines[6]


@pytest.mark.parametrize(
    ("one", "style"),
    [
        pytest.param(FULL, "bold red", id="nothing is free"),
        pytest.param(LEAKS, "bold red", id="nothing will be free in 20 minutes"),
        pytest.param(BUSY, "yellow", id="above 75 %"),
        pytest.param(pool("a", 1, empty_in=90_000.0), "yellow", id="loses connections, slowly"),
        pytest.param(CALM, "green", id="calm"),
    ],
)
def test_colours_follow_what_users_feel(one: PoolSnapshot, style: str) -> None:
    """Red is for what needs somebody now."""
    assert choose_style(one) == style


def test_in_a_pipe_each_line_has_as_many_words_as_columns() -> None:
    """For awk: no cell is empty or has a blank."""
    lines = format_table(ALL)
    assert {len(line.split()) for line in lines} == {13}
    assert lines[1].split()[6:] == ["10", "10", "100%", "3", "-", "-", "0s"]
    assert lines[4].split()[-2:] == ["0", "-"]


def test_machines_get_numbers_and_null() -> None:
    """With a version of the schema, seconds, and shares of 0 to 1."""
    found = pools_document(ALL, 12.0)
    assert (found["schemaVersion"], found["at"]) == (1, 12.0)
    assert [one["secondsToExhaustion"] for one in found["pools"]] == [0, 1200, None, None, None]
    assert found["pools"][-1]["share"] is None


def test_other_peoples_names_cannot_steer_the_terminal() -> None:
    """A pod's name is a label, and a label may hold anything."""
    bad = pool("\x1b[31mpod\u202e", 1)
    assert "\x1b" not in "".join(format_table([bad]))
