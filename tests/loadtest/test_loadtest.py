"""Thresholds of a load: what fails, what passes, and what cannot be said."""

import json
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from canary.api import Verdict
from canary.errors import ExitCode, TransientError, UsageError
from canary.loadtest.external_tools import (
    build_oha_options,
    parse_k6_summary,
    parse_oha_output,
    run_k6,
)
from canary.loadtest.generator import (
    LatencyHistogram,
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestMix,
    RequestTemplate,
    TlsSettings,
    parse_template,
)
from canary.loadtest.run import judge_figures, run_load_test
from canary.loadtest.screen import render_load_table
from canary.loadtest.thresholds import (
    LoadFigures,
    LoadThresholds,
    find_unreachable,
    is_certainly_slow,
    judge_thresholds,
)
from tests.http_server import serve_status

RECORDED = Path(__file__).parent / "recorded"
GOOD = LoadFigures(
    due=1000, over=1000, failed=0, seconds=10, p50=0.01, p99=0.05, longest=0.1, statuses={"200": 1000}
)  # fmt: skip
ASKED = LoadThresholds(max_error_ratio=0.01, max_p99=0.1, min_rate=95)
P, F, N = Verdict.PASS, Verdict.FAIL, Verdict.NO_DATA


@pytest.mark.parametrize(
    ("changes", "verdicts", "code"),
    [
        pytest.param({}, (P, P, P, P), 0, id="all is well: passed"),
        pytest.param({"failed": 10}, (P, P, P, P), 0, id="as many errors as allowed: passed"),
        pytest.param({"failed": 11}, (P, F, P, P), 3, id="one error too many: failed"),
        pytest.param({"p99": 0.101}, (P, P, F, P), 3, id="too slow: failed"),
        pytest.param({"failed": 60}, (P, F, P, F), 3, id="errors keep the rate from being achieved"),
        pytest.param({"over": 0, "p99": 0.0}, (P, N, N, F), 3, id="no answer at all: no rate either"),
        pytest.param(
            {"over": 980, "unsent": 20}, (N, P, P, P), 6, id="too many in flight: the load was not put on"
        ),
        pytest.param(
            {"over": 900, "failed": 400, "unsent": 100}, (N, F, P, F), 3,
            id="too many in flight and the target fails all the same: failed",
        ),
        pytest.param({"late": 9, "p99_lag": 0.01}, (P, P, P, P), 0, id="a few late ones: passed"),
        pytest.param({"late": 20}, (N, P, P, P), 6, id="sent late: inconclusive, however good"),
        pytest.param(
            {"p99": 0.15, "p99_lag": 0.06}, (P, P, N, P), 6, id="slow by the generator's delay: inconclusive"
        ),
        pytest.param(
            {"p99": 0.15, "p99_lag": 0.04}, (P, P, F, P), 3, id="slower than that delay explains: failed"
        ),
        pytest.param(
            {"late": 500, "failed": 30, "timeouts": 30}, (N, N, P, P), 6,
            id="time-outs of a starved generator: inconclusive",
        ),
        pytest.param(
            {"late": 500, "failed": 30, "timeouts": 10}, (N, F, P, P), 3,
            id="errors that no generator makes: failed",
        ),
        pytest.param(
            {"over": 900, "unsent": 100}, (N, P, P, N), 6, id="rate missed as it was not sent: inconclusive"
        ),
    ],
)  # fmt: skip
def test_thresholds_are_judged(changes, verdicts, code):
    """A generator at its limit lets nothing pass, and fails nothing that may be its own doing."""
    seen = replace(GOOD, **changes)
    found = judge_figures("http://x", ASKED, seen)
    assert [case.verdict for case in found.cases] == list(verdicts)
    assert found.code == ExitCode(code)
    assert found.passed == (code == 0)
    assert bool(found.next_steps) == (code == 6)


def test_only_what_is_asked_is_judged():
    """Without thresholds the generator is all there is to judge."""
    nothing = LoadThresholds(max_error_ratio=None)
    assert [case.name for case in judge_thresholds(nothing, replace(GOOD, failed=1000))] == [
        "generator"
    ]


def test_figures_stand_in_the_sentences():
    """What was found, and what was asked for, with units."""
    seen = replace(GOOD, failed=20, statuses={"200": 980, "503": 15, "timeout": 5}, cpu=0.5)
    said = [case.sentence for case in judge_thresholds(ASKED, seen)]
    assert said[1] == "20 of 1,000 failed (2.00%, at most 1%): 503 ×15, timeout ×5"
    assert said[2] == "99 % took at most 50 ms (at most 100 ms)"
    assert said[3] == "98 good answers/s (at least 95)"
    assert "busiest process at 50% of a core" in said[0]
    assert "too high" not in said[0]
    slow = judge_thresholds(ASKED, replace(seen, p99_lag=0.006))[0]
    assert "99 % within 6 ms, which may be part of p99" in slow.sentence


@pytest.mark.parametrize(
    ("asked", "rate", "said"),
    [
        pytest.param(LoadThresholds(1.5), 100, "0% to 100%", id="more errors than requests"),
        pytest.param(LoadThresholds(float("nan")), 100, "0% to 100%", id="no number"),
        pytest.param(LoadThresholds(max_p99=10.0), 100, "shorter than --timeout", id="always true"),
        pytest.param(LoadThresholds(max_p99=0.0), 100, "1ms or more", id="never true"),
        pytest.param(LoadThresholds(min_rate=101), 100, "at most the mean", id="more than is sent"),
    ],
)
def test_thresholds_that_contradict_are_refused(asked, rate, said):
    """Before anything is sent."""
    with pytest.raises(UsageError, match=said):
        asked.check(rate=rate, timeout=10)


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        pytest.param({"failed": 100}, "", id="the rest may be good: goes on"),
        pytest.param({"failed": 101}, "error ratio", id="more errors than all may have: hopeless"),
        pytest.param({"failed": 101, "timeouts": 9, "late": 500}, "", id="time-outs of its own"),
    ],
)
def test_a_load_is_hopeless_when_nothing_can_save_it(changes, lost):
    """Exactly: what is said to fail would fail whatever came later."""
    assert find_unreachable(LoadThresholds(0.01), replace(GOOD, **changes), 10_000, 100) == lost


def test_a_rate_that_cannot_be_achieved_any_more_is_hopeless():
    """Errors so many that the rest of the load is too little."""
    asked = LoadThresholds(max_error_ratio=None, min_rate=95)
    assert find_unreachable(asked, replace(GOOD, failed=501), 10_000, 100) == "rate achieved"
    assert find_unreachable(asked, replace(GOOD, failed=499), 10_000, 100) == ""


def test_slowness_is_certain_with_more_than_one_in_a_hundred_of_all():
    """101 slow ones of 10,000 in all cannot be undone; 99 can."""
    for slow, certain in ((101, True), (99, False)):
        seen = LatencyHistogram()
        for number in range(1000):
            seen.add(1.0 if number < slow else 0.001)
        assert is_certainly_slow(ASKED, GOOD, 10_000, seen.quantile) is certain


def test_a_target_that_dies_ends_the_load_early():
    """Long before its time, failed, with what happened."""
    with serve_status(lambda _: 0) as server:
        plan = LoadPlan(server.url, LoadSchedule((LoadStage(50, 50, 30),)))
        found = run_load_test(plan, LoadThresholds(0.01), Event(), lambda _: None)
    assert found.code == ExitCode.FAILED
    assert "stopped early" in found.headline
    assert found.seconds < 25
    assert "reset ×" in found.cases[1].sentence


def test_an_interrupted_load_says_what_it_saw():
    """Exit code 130 and the figures until then."""
    stop = Event()
    with serve_status() as server:
        plan = LoadPlan(server.url, LoadSchedule((LoadStage(50, 50, 300),)))
        found = run_load_test(plan, ASKED, stop, lambda _: stop.set())
    assert found.code == ExitCode.INTERRUPTED
    assert found.headline.startswith("interrupted: ")
    json.dumps(found.facts, allow_nan=False)


def test_stages_and_requests_are_told_apart():
    """A row for each where there are several, none of the warm-up."""
    stages = (
        LoadStage(40, 40, 0.2, measured=False),
        LoadStage(40, 40, 0.3),
        LoadStage(80, 160, 0.3),
    )
    mix = RequestMix((RequestTemplate("a"), RequestTemplate("b", path=parse_template("/b"))))
    with serve_status() as server:
        found = run_load_test(
            LoadPlan(server.url, LoadSchedule(stages), mix),
            LoadThresholds(),
            Event(),
            lambda _: None,
        )
    table = render_load_table(found.facts).splitlines()
    assert [line.split()[0] for line in table[1:]] == ["40/s", "80–160/s", "a", "b"]
    assert [line.split()[1] for line in table[1:3]] == ["12", "36"]
    assert render_load_table({"stages": [{"rate": "1/s"}], "requests": []}) == ""


def test_a_summary_of_k6_is_read():
    """Milliseconds become seconds, dropped iterations were due and not sent."""
    seen = parse_k6_summary((RECORDED / "k6-summary.json").read_text("utf-8"))
    assert (seen.over, seen.failed, seen.unsent) == (301, 0, 0)
    assert seen.achieved == pytest.approx(100.3, abs=0.1)
    assert seen.p99 == pytest.approx(0.00177, abs=1e-5)
    dropped = json.loads((RECORDED / "k6-summary.json").read_text("utf-8"))
    dropped["metrics"]["dropped_iterations"] = {"count": 99, "rate": 33}
    found = judge_figures("http://x", LoadThresholds(), parse_k6_summary(json.dumps(dropped)))
    assert found.code == ExitCode.INCONCLUSIVE


def test_output_of_oha_is_read():
    """As many as were due were sent and answered."""
    plan = LoadPlan("http://localhost", LoadSchedule((LoadStage(100, 100, 2),)), timeout=2)
    seen = parse_oha_output((RECORDED / "oha-output.json").read_text("utf-8"), plan)
    assert (seen.due, seen.over, seen.failed, seen.unsent) == (200, 200, 0, 0)
    assert seen.achieved == 100
    assert seen.p99 == pytest.approx(0.00509, abs=1e-5)


def test_time_outs_count_where_oha_leaves_them_out():
    """What its own deadline cut off is neither good nor bad; what it never sent was due."""
    text = (RECORDED / "oha-silent.json").read_text("utf-8")
    plan = LoadPlan("http://localhost", LoadSchedule((LoadStage(20, 20, 2),)), timeout=1)
    seen = parse_oha_output(text, plan)
    assert (seen.over, seen.failed, seen.timeouts, seen.unsent) == (20, 20, 20, 0)
    assert seen.p99 == 1
    more = replace(plan, schedule=LoadSchedule((LoadStage(40, 40, 2),)))
    assert parse_oha_output(text, more).unsent == 40


def test_oha_is_told_the_same_load():
    """Open loop, latency from the intended start; what it cannot do is refused."""
    mix = RequestMix(
        (
            RequestTemplate(
                "a",
                1,
                "POST",
                parse_template("/a"),
                {"X": parse_template("y")},
                parse_template("b"),
            ),
        )
    )
    plan = LoadPlan(
        "https://localhost",
        LoadSchedule((LoadStage(9, 9, 2),)),
        mix,
        http2=True,
        tls=TlsSettings("ca.pem"),
    )
    told = build_oha_options(plan)
    assert " ".join(told).endswith("--http2 --cacert ca.pem -H X: y -d b https://localhost/a")
    assert {"--latency-correction", "-q", "9", "-z", "2s"} <= set(told)
    with pytest.raises(UsageError, match="one rate"):
        build_oha_options(replace(plan, schedule=LoadSchedule((LoadStage(1, 9, 2),))))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("sys.exit('boom')", "exited with code 1: boom", id="breaks off"),
        pytest.param("pass", "wrote no readable summary", id="leaves nothing"),
        pytest.param("open(out, 'w').write('{}')", "wrote no readable summary", id="leaves little"),
    ],
)
def test_a_k6_that_breaks_off_is_said(tmp_path, monkeypatch, body, said):
    """With the end of what it said itself."""
    fake(tmp_path, monkeypatch, body)
    with pytest.raises(TransientError, match=said):
        run_k6("http://x", tmp_path / "script.js", ASKED, Event())


def test_thresholds_are_ours_where_those_of_k6_failed(tmp_path, monkeypatch):
    """k6 ends with 99 when its own thresholds fail: its figures count all the same."""
    recorded = RECORDED / "k6-summary.json"
    fake(tmp_path, monkeypatch, f"shutil.copy({str(recorded)!r}, out); sys.exit(99)")
    found = run_k6("http://x", tmp_path / "script.js", LoadThresholds(0.01, 0.1), Event())
    assert found.code == ExitCode.OK


def test_a_k6_that_is_not_there_is_said(tmp_path, monkeypatch):
    """No script, no program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="is not a file"):
        run_k6("http://x", tmp_path / "script.js", ASKED, Event())
    (tmp_path / "script.js").touch()
    with pytest.raises(UsageError, match="k6 was not found on the PATH"):
        run_k6("http://x", tmp_path / "script.js", ASKED, Event())


@pytest.mark.skipif(shutil.which("k6") is None, reason="k6 is not installed")
def test_a_real_k6_is_judged(tmp_path):
    """A script of one iteration against a server of ours."""
    script = tmp_path / "script.js"
    script.write_text(
        "import http from 'k6/http'; export default function () { http.get(__ENV.CANARY_URL); }"
    )
    with serve_status() as server:
        found = run_k6(server.url, script, LoadThresholds(), Event())
    assert found.code == ExitCode.OK
    assert len(server.requests) == 1


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program k6 that does just that; `out` is where its summary goes."""
    (folder / "script.js").touch()
    program = folder / "k6"
    lines = [f"#!{sys.executable}", "import shutil, sys"]
    lines += ["out = sys.argv[sys.argv.index('--summary-export') + 1]", body]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_a_port_without_a_server_is_no_failure_of_the_target():
    """Nothing was judged: an error, not a verdict."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(TransientError):
        run_load_test(
            LoadPlan(url, LoadSchedule((LoadStage(1, 1, 1),))), ASKED, Event(), lambda _: None
        )
