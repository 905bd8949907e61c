"""With and without canary, side by side."""

from dataclasses import replace

import pytest
from rich.console import Console

from canary.render.comparison import (
    ComparisonRow,
    comparison_html,
    comparison_rows,
    comparison_table,
    comparison_text,
    describe_result,
)
from canary.render.timeline import ReleaseSummary

EXPECTED = """
                        with canary                   without
how it ended            Rolled back (ConnectionLeak)  Outage (PoolSaturated)
logins failed           12 of 6,000 (0.2 %)           3,120 of 6,000 (52 %)
users hit               11 of 3,000 (0.37 %)          2,610 of 3,000 (87 %)
time to detection       1 min                         never
time to weight 0        1 min 1 s                     never
of that, under traffic  –                             –
highest weight          10 %                          100 %
fullest pool            45 %                          100 %
""".strip("\n")


def test_both_sides_in_columns(rolled_back: ReleaseSummary, outage: ReleaseSummary) -> None:
    """The plain form, as a pipe gets it."""
    assert comparison_text(comparison_rows(rolled_back, outage)) == EXPECTED


def test_a_side_that_was_not_run_says_so(rolled_back: ReleaseSummary) -> None:
    """Nothing is made up for it."""
    assert {row.without for row in comparison_rows(rolled_back, None)} == {"not run"}
    assert {row.with_canary for row in comparison_rows(None, rolled_back)} == {"not run"}


def test_a_good_release_had_nothing_to_detect(rolled_back: ReleaseSummary) -> None:
    """`never` would read as a failure."""
    good = replace(rolled_back, ended="Promoted", detected_after=None, weight_zero_after=None)
    told = {row.name: row.with_canary for row in comparison_rows(good, None)}
    assert told["time to detection"] == "nothing to detect"
    assert told["time to weight 0"] == "not needed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {},
            "Rolled back at 10 %: leaks 1 connection per 50 logins; "
            "12 of 6,000 logins failed; 11 of 3,000 users were hit",
            id="what, where, why and who was hit",
        ),
        pytest.param(
            {"ended": "Promoted", "sentence": "passed every step", "failed": 0, "users_hit": 0},
            "Promoted: passed every step; none of 6,000 logins failed; no user was hit",
            id="nobody was hit, and a promoted release is nowhere in between",
        ),
        pytest.param(
            {"noun": "requests to the canary", "happened": "were slow", "users": 0},
            "Rolled back at 10 %: leaks 1 connection per 50 logins; "
            "12 of 6,000 requests to the canary were slow",
            id="slow requests did not fail",
        ),
    ],
)
def test_headline(rolled_back: ReleaseSummary, changes: dict[str, object], words: str) -> None:
    """One sentence that says it all."""
    assert describe_result(replace(rolled_back, **changes)) == words


def test_no_requests_is_no_division(rolled_back: ReleaseSummary) -> None:
    """A release that ended before its first request."""
    nothing = replace(rolled_back, requests=0, failed=0, users=0, users_hit=0, peak_pool=None)
    told = {row.name: row.with_canary for row in comparison_rows(nothing, None)}
    assert (told["logins failed"], told["users hit"], told["fullest pool"]) == (
        "0 of 0",
        "0 of 0",
        "–",
    )


def test_table_says_the_same_on_a_terminal(rolled_back: ReleaseSummary) -> None:
    """Within 80 columns, without colors."""
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(comparison_table(comparison_rows(rolled_back, None)))
    lines = capture.get().splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "how it ended",
        "logins failed",
        "users hit",
        "time to detection",
        "time to weight 0",
        "of that, under traffic",
        "highest weight",
        "fullest pool",
    ]
    assert all(line.rstrip().endswith("not run") for line in lines[1:])


def test_html_rows_are_escaped() -> None:
    """Reasons may come from anywhere."""
    rows = list(comparison_html([ComparisonRow("a", "<script>", 'x"y')]))
    assert rows == ['<tr><th scope="row">a</th><td>&lt;script&gt;</td><td>x&quot;y</td></tr>']
