"""`canary analyze --samples` with the counters of each pod: the judge compares pods with pods."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from canary.cli.main import main
from canary.errors import ExitCode

PODS = "release,time,side,pod,total,bad"
SUMS = "release,time,canary_total,canary_bad,stable_total,stable_bad"
STEP, HISTORY, LENGTH = 5, 3600, 1800
Analyze = Callable[..., tuple[int, str, str]]


@pytest.fixture
def analyze(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Analyze:
    """Runs the command on rows below a header; gives exit code, output and errors."""

    def run(rows: str, *options: str, header: str = PODS) -> tuple[int, str, str]:
        path = tmp_path / "samples.csv"
        path.write_text(f"{header}\n{rows}")
        return main(["analyze", "--samples", str(path), *options]), *capsys.readouterr()

    return run


class Fleet:
    """Two pods of stable, and two of a canary with a twentieth of 100 requests a second.

    Each pod fails 30 % of its requests for 8 s about once in a minute; the canary also `more`.
    """

    def __init__(self, seed: int, more: float = 0.0) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - simulated requests, no secrets
        self._name, self._more = f"r{seed}", more

    def _counts(self, side: str, rps: float, start: int) -> list[tuple[int, int, int]]:
        chance, rows, total, bad, hiccup = self._chance, [], 0, 0, float(start)
        for time in range(start, LENGTH + 1, STEP):
            share = 0.3 if hiccup <= time < hiccup + 8 else 0.001
            if time >= hiccup + 8:
                hiccup = time + chance.expovariate(1 / 52)
            share += self._more if side == "canary" else 0.0
            rows.append((time, total, bad))
            requests = round(rps * STEP)
            total += requests
            bad += sum(chance.random() < share for _ in range(requests))
        return rows

    def pods(self) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
        """By side and pod: time, all requests, bad ones."""
        stable = {("stable", f"s{n}"): self._counts("stable", 47.5, -HISTORY) for n in range(2)}
        return stable | {("canary", f"c{n}"): self._counts("canary", 2.5, 0) for n in range(2)}

    def by_pod(self) -> Iterator[str]:
        """Rows of a file per pod."""
        for (side, pod), rows in self.pods().items():
            for time, total, bad in rows:
                yield f"{self._name},{time},{side},{pod},{total},{bad}\n"

    def summed(self) -> Iterator[str]:
        """Rows of a file of sums."""
        sums: dict[int, dict[str, list[int]]] = {}
        for (side, _), rows in self.pods().items():
            for time, total, bad in rows:
                both = sums.setdefault(time, {"canary": [0, 0], "stable": [0, 0]})
                both[side] = [both[side][0] + total, both[side][1] + bad]
        for time, both in sorted(sums.items()):
            yield f"{self._name},{time},{','.join(map(str, [*both['canary'], *both['stable']]))}\n"


def verdicts(analyze: Analyze, rows: list[str], header: str = PODS) -> list[tuple[str, float]]:
    """Verdict and time of each release."""
    _, out, err = analyze("".join(rows), "-o", "json", header=header)
    assert err == ""
    said = [json.loads(line) for line in out.splitlines()]
    return [(one["verdict"], one["at"]) for one in said]


def test_hiccups_that_both_versions_have_fail_no_canary(analyze: Analyze) -> None:
    """Pods of the canary are like stable's pods; with sums it is one pod on either side."""
    fleets = [Fleet(seed) for seed in range(6)]
    by_pod = verdicts(analyze, [row for one in fleets for row in one.by_pod()])
    assert "Fail" not in {verdict for verdict, _ in by_pod}


def test_a_bad_canary_beside_hiccups_fails_and_with_sums_no_sooner(analyze: Analyze) -> None:
    """Sums of the same counters are judged more carefully."""
    fleets = [Fleet(seed, 0.2) for seed in range(4)]
    by_pod = verdicts(analyze, [row for one in fleets for row in one.by_pod()])
    summed = verdicts(analyze, [row for one in fleets for row in one.summed()], SUMS)
    assert {verdict for verdict, _ in by_pod} == {"Fail"}
    late = [at if verdict == "Fail" else float("inf") for verdict, at in summed]
    assert sum(late) >= sum(at for _, at in by_pod)


def test_pods_may_be_scraped_at_moments_of_their_own(analyze: Analyze) -> None:
    """In any order of pods; one that restarts has counted since then."""
    rows = []
    for pod, side, rate, offset in (("a", "stable", 90, 0), ("b", "canary", 10, 7)):
        for time in range(offset, 3600, 15):
            total = rate * (time if time < 1800 else time - 1800)
            rows.append(f"r,{time},{side},{pod},{total},0\n")
    code, out, _ = analyze("".join(rows), "-o", "json", "--min-duration", "5m")
    said = json.loads(out)
    assert (code, said["verdict"]) == (ExitCode.OK, "Pass")
    assert said["canaryTotal"] == pytest.approx(10 * 3585, rel=0.01)
    assert said["stableTotal"] == pytest.approx(90 * 3585, rel=0.01)


def test_p04_a_pod_that_is_several_processes_in_turn_is_no_data(analyze: Analyze) -> None:
    """The sentence names it."""
    chance = random.Random(4)  # noqa: S311 - as above
    times, ages = range(0, 900, 15), (0, 7000, 25000)
    rows = [f"r,{time},stable,s,{time * 90},0\n" for time in times]
    rows += [f"r,{time},canary,c,{time * 10 + chance.choice(ages)},0\n" for time in times]
    code, out, _ = analyze("".join(rows))
    assert code == ExitCode.INCONCLUSIVE
    assert "counter of canary/c decreases repeatedly" in " ".join(out.split())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("r,0,new,a,0,0\n", "line 2: side must be canary or stable, found 'new'"),
        ("r,0,canary, ,0,0\n", "line 2: pod must be a name, found ' '"),
        ("r,0,canary,a,x,0\n", "line 2: total must be a number of at least 0, found 'x'"),
        ("r,0,canary,a,5,-1\n", "line 2: bad must be a number of at least 0, found '-1'"),
        ("r,0,canary,a,5,6\n", "line 2: bad (6) is more than total (5)"),
        ("r,now,canary,a,5,1\n", "line 2: time must be a time in seconds, found 'now'"),
        ("r,1795998000000,canary,a,5,1\n", "it looks like milliseconds"),
        ("r,0,canary\n", "line 2: expected at least 6 fields, found 3"),
        ("", "found no rows below the header"),
    ],
)
def test_wrong_rows_are_said_with_their_line(analyze: Analyze, rows: str, message: str) -> None:
    """What was expected, what was found, and where."""
    code, out, err = analyze(rows)
    assert (code, out) == (ExitCode.USAGE, "")
    assert message in err


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("release,time,pod,total,bad", "missing column side; expected the columns release,time,"),
        ("release,time,side,pod,requests,bad", "missing column total"),
        ("release,time", "or per pod release,time,side,pod,total,bad"),
        ("release,time,side,pod,total,bad,pod", "several of pod"),
    ],
)
def test_a_wrong_header_says_both_forms(analyze: Analyze, header: str, message: str) -> None:
    """Whichever the file was meant to have."""
    code, _, err = analyze("", header=header)
    assert code == ExitCode.USAGE
    assert message in err


def test_rows_that_go_back_in_time_are_skipped_or_refused(analyze: Analyze) -> None:
    """One of them is said; a file in descending order is the wrong way round."""
    rows = [f"r,{time},canary,c,{time * 10},0\n" for time in range(0, 150, 15)]
    code, _, err = analyze("".join([*rows[:5], rows[2], *rows[5:]]))
    assert code == ExitCode.INCONCLUSIVE
    assert "skipped 1 rows whose time is not after the row before" in err
    code, _, err = analyze("".join(reversed(rows)))
    assert code == ExitCode.USAGE
    assert "mostly go backwards" in err
