"""`canary analyze --samples`: recorded counters in, verdicts and exit codes out."""

import io
import json
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from canary.cli.main import main
from canary.core.evidence import (
    EvidenceState,
    Interval,
    RatioPolicy,
    assess_evidence,
    fold_intervals,
)
from canary.errors import ExitCode

HEADER = "release,time,canary_total,canary_bad,stable_total,stable_bad"


def rows(
    name: str, canary_rate: float, *, seconds: int = 3600, history: int = 3600
) -> Iterable[tuple[int, str]]:
    """(time, line) of a release at 100 requests/s, 10 % canary, stable at 0.1 %."""
    for at in range(-history, seconds + 1, 15):
        canary = max(at, 0) * 10
        stable = 90 * (at + history)
        bad = int(canary * canary_rate)
        yield at, f"{name},{at},{canary},{bad},{stable},{stable // 1000}"


def csv(*releases: Iterable[tuple[int, str]]) -> str:
    """A file in which the rows of all releases are interleaved by time."""
    lines = sorted((row for release in releases for row in release), key=lambda row: row[0])
    return "\n".join([HEADER, *(line for _, line in lines), ""])


@pytest.fixture
def analyze(tmp_path: Path, capsys):
    """Runs the command on some text; gives exit code, standard output and standard error."""

    def run(text: str | bytes, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "samples.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        code = main(["analyze", "--samples", str(path), *options])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_one_json_object_per_release_in_order_of_appearance(analyze):
    """Keys and verdicts as documented; interleaved releases do not touch each other."""
    text = csv(rows("bad", 0.05), rows("good", 0.001), rows("none", 0, seconds=0))
    code, out, err = analyze(text, "-o", "json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(row["release"], row["verdict"]) for row in found] == [
        ("bad", "Fail"),
        ("good", "Pass"),
        ("none", "NoData"),
    ]
    assert list(found[0]) == [
        "schemaVersion",
        "release",
        "verdict",
        "at",
        "canaryTotal",
        "canaryBad",
        "stableTotal",
        "stableBad",
        "ratio",
        "ratioLow",
        "ratioHigh",
        "evidence",
    ]
    bad, good, none = found
    assert 60 < bad["at"] <= 150
    assert (bad["canaryTotal"], bad["canaryBad"]) == (36000, 1800)
    assert bad["ratioLow"] < 50 < bad["ratioHigh"]
    assert good["at"] == 1260
    assert none["at"] is None
    assert none["ratio"] is None
    assert (code, err) == (ExitCode.OK, "")


@pytest.mark.parametrize(
    ("release", "code"),
    [
        pytest.param(rows("a", 0.05), ExitCode.FAILED, id="fail"),
        pytest.param(rows("a", 0.001), ExitCode.OK, id="pass"),
        pytest.param(rows("a", 0.001, seconds=600), ExitCode.INCONCLUSIVE, id="continue"),
        pytest.param(rows("a", 0.001, seconds=0), ExitCode.INCONCLUSIVE, id="no data"),
    ],
)
def test_the_exit_code_of_a_single_release_is_its_verdict(analyze, release, code):
    """Pass 0, Fail 3, Continue and NoData 6."""
    assert analyze(csv(release))[0] == code


def test_rows_are_the_increments_the_judge_folds(analyze):
    """The verdict of a file is that of the fold over its differences, bit by bit."""
    text = csv(rows("a", 0.004))
    found = json.loads(analyze(text, "-o", "json")[1])
    numbers = [tuple(map(float, line.split(",")[1:])) for line in text.splitlines()[1:]]
    steps = [
        Interval(a[0], b[0], *(y - x for x, y in zip(a[1:], b[1:], strict=True)))
        for a, b in pairwise(numbers)
    ]
    said = assess_evidence(fold_intervals(EvidenceState(), RatioPolicy(), steps), RatioPolicy())
    assert (found["evidence"], found["at"]) == (said.evidence, said.failed_at)
    assert (found["ratioLow"], found["ratioHigh"]) == (said.ratio_low, said.ratio_high)


def test_a_restart_sets_both_counters_of_one_side_back(analyze):
    """After a reset the increments are the new values, bad ones included."""
    text = f"{HEADER}\na,0,0,0,0,0\na,15,100,9,900,9\na,30,20,9,1800,18\na,45,120,10,2700,27\n"
    found = json.loads(analyze(text, "-o", "json")[1])
    assert (found["canaryTotal"], found["canaryBad"]) == (220, 19)
    assert (found["stableTotal"], found["stableBad"]) == (2700, 27)


def test_repeated_and_late_rows_are_skipped_and_said_once(analyze):
    """The same time again, or an older one, changes nothing but a line on standard error."""
    plain = csv(rows("a", 0.001, seconds=600))
    lines = plain.splitlines()
    doubled = "\n".join([*lines[:50], lines[49], lines[20], *lines[50:], ""])
    expected = analyze(plain, "-o", "json")[1]
    _, out, err = analyze(doubled, "-o", "json")
    assert out == expected
    assert err.count("\n") == 1
    assert "2 rows" in err
    assert "line 51" in err


def test_bom_crlf_quotes_blank_lines_and_other_columns_are_read(analyze):
    """What spreadsheets write is fine, and columns may come in any order."""
    text = (
        '\ufeff"stable_bad",time,release,canary_total,canary_bad,stable_total,note\r\n'
        '0,0,"a,b",0,0,0,x\r\n\r\n1,15,"a,b",100,0,900,"y ""z"""\r\n'
    )
    code, out, _ = analyze(text, "-o", "json")
    found = json.loads(out)
    assert (found["release"], found["canaryTotal"], found["verdict"]) == ("a,b", 100, "Continue")
    assert code == ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty; expected the columns release,time", id="empty file"),
        pytest.param("release,time\n", "line 1: missing column canary_total", id="columns missing"),
        pytest.param(f"{HEADER}\n", "found no rows below the header", id="only a header"),
        pytest.param(
            f"{HEADER}\na,0,0,0,0,0\na,15,many,0,0,0\n",
            "line 3: canary_total must be a number of at least 0, found 'many'",
            id="text in a number",
        ),
        pytest.param(f"{HEADER}\na,0,0,0,0,nan\n", "line 2: stable_bad must be a number", id="NaN"),
        pytest.param(f"{HEADER}\na,0,0,-1,0,0\n", "canary_bad must be a number", id="negative"),
        pytest.param(f"{HEADER}\na,inf,0,0,0,0\n", "time must be a time in seconds", id="infinite"),
        pytest.param(f"{HEADER}\na,0,0,0\n", "line 2: expected at least 6 fields", id="cut off"),
        pytest.param(b"\x00\xff\xfe\x93" * 50, "not UTF-8", id="binary"),
        pytest.param(
            f"{HEADER}\na,0,0,0,0,0\n".encode() + b"\xff\xfe", "not UTF-8", id="cut binary"
        ),
    ],
)
def test_bad_input_is_said_with_its_line(analyze, text, message):
    """Exit code 2, one sentence, no traceback, nothing on standard output."""
    code, out, err = analyze(text)
    assert code == ExitCode.USAGE
    assert message in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("source", ["missing.csv", "."])
def test_a_file_that_cannot_be_read_is_said(source, capsys, tmp_path, monkeypatch):
    """No such file, or a directory."""
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", "--samples", source]) == ExitCode.USAGE
    assert f"{source}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--tolerance", "0.5"],
        ["--false-positive-rate", "1"],
        ["--limit", "5"],
        ["--smallest-regression", "0"],
        ["--tolerated-incident", "soon"],
        ["--warm-up", "-1s"],
        ["--min-duration", "1h30"],
        ["-o", "xml"],
    ],
)
def test_an_option_out_of_range_is_named(analyze, options):
    """Exit code 2, and the message names the option."""
    code, _, err = analyze(csv(rows("a", 0.001, seconds=60)), *options)
    assert code == ExitCode.USAGE
    assert options[0].lstrip("-") in err


def test_options_reach_the_judge(analyze):
    """Durations as people write them; `none` leaves out the limit."""
    text = csv(rows("a", 0.001))
    default = json.loads(analyze(text, "-o", "json")[1])
    options = [
        "--warm-up",
        "2m",
        "--min-duration",
        "30m",
        "--limit",
        "none",
        "--tolerated-incident",
        "1m",
    ]
    other = json.loads(analyze(text, "-o", "json", *options)[1])
    assert (default["at"], other["at"]) == (1260, 1920)


def test_standard_input_is_read(monkeypatch, capsys):
    """`-` is standard input."""
    stream = io.TextIOWrapper(io.BytesIO(csv(rows("a", 0.05)).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert main(["analyze", "--samples", "-", "-o", "json"]) == ExitCode.FAILED
    assert json.loads(capsys.readouterr().out)["verdict"] == "Fail"


def test_the_table_fits_80_columns_with_long_names(analyze):
    """A long name is folded, never cut; a single release gets its sentence."""
    name = "prod/authentication-and-authorisation-gateway-" + "x" * 60
    code, out, _ = analyze(csv(rows(name, 0.05)))
    assert code == ExitCode.FAILED
    assert max(map(len, out.splitlines())) <= 80
    assert sum(line.count("x") for line in out.splitlines()[:-1]) >= 60
    assert "as often as stable" in " ".join(out.split())
