"""`canary analyze` and input that is no recording of counters, or that is up to no good."""

import json
import random
import sys
from pathlib import Path

import pytest

from canary.cli.main import main
from canary.errors import ExitCode

HEADER = "release,time,canary_total,canary_bad,stable_total,stable_bad"
NASTY = "a\x1b]0;title\x07\x00\x9b31m\u202e"


@pytest.fixture
def analyze(tmp_path: Path, capsys):
    """Runs the command on rows below the header; gives exit code, output and errors."""

    def run(rows: str, *options: str, header: str = HEADER) -> tuple[int, str, str]:
        path = tmp_path / "samples.csv"
        path.write_text(f"{header}\n{rows}", encoding="utf-8")
        code = main(["analyze", "--samples", str(path), *options])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            "a,0,0,0,0,0\na,15,7,100,900,1\n",
            "line 3: canary_bad (100) is more than canary_total (7)",
            id="canary's columns swapped",
        ),
        pytest.param(
            "a,0,0,0,0,0\na,15,0,0,1,900\n",
            "line 3: stable_bad (900) is more than stable_total (1)",
            id="stable's columns swapped, in its history",
        ),
        pytest.param(",0,0,0,0,0\n", "line 2: release must be a name, found ''", id="no name"),
        pytest.param('" ",0,0,0,0,0\n', "line 2: release must be a name", id="a blank name"),
        pytest.param(
            "a,0,1_0,0,0,0\n",
            "line 2: canary_total must be a number of at least 0, found '1_0'",
            id="a number to Python only",
        ),
        pytest.param("a,0,0,0,١٢,0\n", "line 2: stable_total must be a number", id="other digits"),
    ],
)
def test_what_no_recording_can_contain_is_said_with_its_line(analyze, rows, message):
    """Exit code 2 and nothing on standard output, instead of a verdict on it."""
    code, out, err = analyze(rows)
    assert (code, out) == (ExitCode.USAGE, "")
    assert message in err


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("a,0,0,0,0,0\na,5,100,100,0,0\na,10,150,150,0,0\n", id="all are bad"),
        pytest.param("a,0,1.23457e6,1234574,0,0\n", id="one counter rounded to six digits"),
        pytest.param("a,0,9,0,0,0\na,5,10,9,0,0\n", id="bad was late and makes up for it"),
        pytest.param("a,0,100,50,0,0\na,5,30,30,0,0\n", id="a restart, then all are bad"),
    ],
)
def test_as_many_bad_requests_as_there_are_is_no_mistake(analyze, rows):
    """Rounding, restarts and the order of scraping are no swapped columns."""
    code, _, err = analyze(rows)
    assert (code, err) == (ExitCode.INCONCLUSIVE, "")


def test_a_column_that_is_there_twice_is_refused(analyze):
    """Which of them counts is anybody's guess."""
    code, _, err = analyze("a,0,0,0,0,0,7\n", header=f"{HEADER},time")
    assert code == ExitCode.USAGE
    assert "line 1: expected each column once, found several of time" in err


def test_p20_times_in_milliseconds_are_refused(analyze):
    """Otherwise every duration of the policy would be a thousand times too short."""
    code, out, err = analyze("r,1795998000000,0,0,500,0\nr,1795998010000,0,0,1000,0\n")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "line 2: time must be in seconds, found 1795998000000: it looks like milliseconds" in err


def test_p20_a_file_in_descending_order_is_refused(analyze):
    """Skipping nearly every row would leave a verdict on nothing."""
    rows = [f"r,{time},{time * 10},0,{time * 90},0\n" for time in range(0, 100, 10)]
    code, out, err = analyze("".join(reversed(rows)))
    assert (code, out) == (ExitCode.USAGE, "")
    assert "the times of release r mostly go backwards; expected rows in ascending order" in err


def answered_in_turn(release: int, workers: int) -> str:
    """Ten minutes of two equal sides; at each scrape one of so many processes answers."""
    chance = random.Random(release)  # noqa: S311 - simulated requests, no secrets
    counts = [[[0, 0] for _ in range(workers)] for _ in range(2)]
    rows = []
    for time in range(0, 600, 10):
        for side in counts:
            for one in side:
                one[0] += 100 // workers
                one[1] += sum(chance.random() < 0.001 for _ in range(100 // workers))
        seen = [number for side in counts for number in chance.choice(side)]
        rows.append(f"w-{release},{time},{','.join(map(str, seen))}\n")
    return "".join(rows)


@pytest.mark.parametrize(("workers", "verdict"), [(4, "NoData"), (1, "Pass")])
def test_p04_counters_of_workers_behind_one_address_are_no_data(analyze, workers, verdict):
    """Forty good releases: not one fails; with one process each they all pass."""
    rows = "".join(answered_in_turn(release, workers) for release in range(40))
    options = ("--min-duration", "2m", "--smallest-regression", "0.01", "-o", "json")
    code, out, _ = analyze(rows, *options)
    verdicts = [json.loads(line)["verdict"] for line in out.splitlines()]
    assert (code, verdicts) == (ExitCode.OK, [verdict] * 40)


@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_control_characters_never_reach_the_terminal(analyze, options):
    """Names are shown escaped, in the table, in JSON and in messages."""
    _, out, err = analyze(f"{NASTY},5,0,0,0,0\n{NASTY},0,0,0,0,0\n", *options)
    printed = out + err
    assert all(c == "\n" or c.isprintable() for c in printed)
    assert "\\x1b]0;title" in err
    assert "1b]0;title" in out


def test_control_characters_of_a_header_are_escaped(analyze):
    """The message about missing columns repeats what was found."""
    err = analyze("", header="release\x1b[2J,\x00")[2]
    assert "release\\x1b[2J, \\x00" in err


@pytest.mark.parametrize("chance", ["0.21", "0", "nan", "1", "often"])
def test_a_false_alarm_above_a_fifth_is_refused(analyze, chance):
    """As in a release's spec; the message names the option and what is allowed."""
    code, _, err = analyze("a,0,0,0,0,0\n", "--false-positive-rate", chance)
    assert code == ExitCode.USAGE
    assert "--false-positive-rate" in err
    assert "up to 0.2" in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("stream", "message"),
    [("stdin", "standard input is closed"), ("stdout", "standard output is closed")],
)
def test_a_closed_stream_is_said(monkeypatch, capfd, stream, message):
    """`<&-` and `>&-`: exit code 2 and a sentence."""
    monkeypatch.setattr(sys, stream, None)
    assert main(["analyze", "--samples", "-"]) == ExitCode.USAGE
    assert message in capfd.readouterr().err


def test_without_any_failure_the_sentence_says_so(analyze):
    """Nothing bad on either side is worth saying in plain words."""
    out = analyze("a,0,0,0,0,0\na,15,121,0,1107,0\n")[1]
    assert "No request has failed on either side: 0 of 121 against 0 of 1,107" in out


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (22, ["RELEASE", "VERDICT"]),
        (40, ["RELEASE", "VERDICT", "AT", "CANARY BAD"]),
        (52, ["RELEASE", "VERDICT", "AT", "CANARY BAD", "STABLE BAD"]),
        (
            80,
            ["RELEASE", "VERDICT", "AT", "CANARY BAD", "STABLE BAD", "RATIO", "EVIDENCE"],
        ),
    ],
)
def test_a_narrow_terminal_keeps_release_and_verdict(analyze, monkeypatch, columns, headings):
    """What matters least goes first, and no cell is cut."""
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = "".join(f"payments-api,{i},{i * 9},{i},{i * 90},{i // 3}\n" for i in range(0, 900, 15))
    out = analyze(rows)[1]
    assert "  ".join(out.splitlines()[0].split()) == "  ".join(" ".join(headings).split())
    assert "payments-api Fail" in " ".join(out.split())
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= columns
