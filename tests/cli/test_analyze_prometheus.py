"""`canary analyze`, `backtest` and `simulate` on a real Prometheus with a past, and on odd answers."""

import json
import os
import pty
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from canary.cli.main import main
from canary.errors import ExitCode
from tests.analyze.backfilled_prometheus import BackfilledPrometheus, SimulatedLifetime
from tests.http_server import HttpServer, Reply

HOUR = 3600
NOW = int(time.time())  # noqa: TID251 - a real Prometheus keeps no older past than two weeks
START = NOW // 60 * 60 - 5 * HOUR
"""The past begins here: v1; v2 rolled out after 1 h; v3, a bad canary, beside it after 3 h."""
ROLLED, TRIED = START + HOUR, START + 3 * HOUR
POLICY = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  steps: [{weight: 10, duration: 2m}]
  analysis:
    interval: 15s
    metrics:
    - {name: errors, ratio: {preset: http}}
"""
PAIR = ("--canary", "version=v3", "--stable", 'version="v2",namespace="prod"')
SPAN = ("--from", str(TRIED), "--to", str(TRIED + 1800), "--step", "15s")


def fleet(
    version: str, replicaset: str, start: int, end: int, **more: object
) -> list[SimulatedLifetime]:
    """Two pods of one version."""
    names = [f"auth-{replicaset}-{letter * 5}" for letter in "ab"]
    return [SimulatedLifetime(name, start, end, 5.0, version=version, **more) for name in names]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """One Prometheus for all tests."""
    lives = [
        *fleet("v1", "5d4f6c7b89", START, ROLLED + 60),
        *fleet("v2", "66b8d9c4f7", ROLLED, START + 5 * HOUR),
        SimulatedLifetime(
            "auth-7c9e5f8d6b-ccccc", TRIED, TRIED + 1800, 5.0, lambda _: 0.05, "v3", leak=0.02
        ),
        SimulatedLifetime(
            "auth-66b8d9c4f7-ddddd", TRIED - 1800, TRIED + 1800, 5.0, version="v2", leak=1e-9
        ),
    ]
    one = BackfilledPrometheus(tmp_path_factory.mktemp("archive"), lives)
    yield one
    one.close()


@pytest.fixture
def canary(capsys, monkeypatch):
    """Runs the program in this process; gives exit code, standard output and standard error."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "CANARY_PROMETHEUS_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        return main([str(one) for one in arguments]), *capsys.readouterr()

    return run


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A CanaryRelease to try."""
    path = tmp_path / "auth.yaml"
    path.write_text(POLICY)
    return path


def test_a_bad_version_fails_by_the_preset_that_is_there(canary, archive):
    """Which preset was found is said on standard error; the exit code is 3."""
    code, out, err = canary("analyze", "--prometheus", archive.url, *PAIR, *SPAN)
    assert code == ExitCode.FAILED
    assert "the canary is worse, detected after" in out
    assert err == "canary: using the preset http: errors and client errors\n"


def test_stables_hour_before_the_canary_is_read(canary, archive):
    """Half an hour is compared, and stable's requests of the hour before make its usual rate."""
    code, out, _ = canary(
        "analyze", "--prometheus", archive.url, *PAIR, *SPAN, "--metric", "http", "-o", "json"
    )
    document = json.loads(out)
    assert (code, document["exitCode"], document["schemaVersion"]) == (3, 3, 1)
    (case,) = document["cases"]
    assert case["verdict"] == "Fail"
    assert case["facts"]["canaryTotal"] == pytest.approx(1800 * 5, rel=0.05)
    assert document["facts"]["decidedAt"] - TRIED <= 300


def test_as_good_as_itself_passes(canary, archive):
    """Two pods of one version, by matchers on the pod."""
    code, out, _ = canary(
        *("analyze", "--prometheus", archive.url, "--metric", "http"),
        *("--canary", 'pod=~".*-aaaaa",version="v2"', "--stable", 'pod=~".*-bbbbb",version="v2"'),
        *("--from", TRIED, "--to", TRIED + 3000, "--step", "15"),
    )
    assert code == ExitCode.OK
    assert "as good as stable" in out


def test_counters_are_named_by_hand_and_pools_are_judged_as_well(canary, archive, tmp_path):
    """One case per metric in every artefact."""
    junit = tmp_path / "out" / "junit.xml"
    code, out, _ = canary(
        *("analyze", "--prometheus", archive.url, *PAIR, *SPAN, "--junit", junit),
        *("--total", "http_requests_total", "--bad", 'http_requests_total{code="500"}'),
        *("--pool", "hikaricp", "--tolerated-incident", "0s"),
    )
    assert code == ExitCode.FAILED
    assert "Fail        errors" in out
    assert "Fail        pool-hikaricp" in out
    names = [case.get("name") for case in ET.parse(junit).iter("testcase")]  # noqa: S314 - our own
    assert names == ["errors", "pool-hikaricp"]


def test_a_file_says_how_to_judge(canary, archive, policy):
    """Its interval, too."""
    code, out, _ = canary(
        *("analyze", "--prometheus", archive.url, *PAIR, *SPAN[:4], "-f", policy, "-o", "json")
    )
    assert code == ExitCode.FAILED
    assert json.loads(out)["facts"]["step"] == 15


def test_no_data_comes_with_the_query_to_look_at(canary, archive):
    """To paste, as it was asked."""
    code, out, _ = canary(
        *(
            "analyze",
            "--prometheus",
            archive.url,
            "--canary",
            "version=v9",
            "--stable",
            "version=v2",
        ),
        *(*SPAN, "--metric", "http"),
    )
    assert code == ExitCode.INCONCLUSIVE
    assert 'sum by (pod, instance) (http_requests_total{version="v9"})' in out


def test_live_ends_with_no_data_where_nothing_comes(canary, archive):
    """The past is over: progress on standard error, exit code 6."""
    code, out, err = canary(
        *("analyze", "--prometheus", archive.url, *PAIR, "--for", "2s", "--step", "1s"),
        *("--metric", "http", "--min-duration", "0s", "--warm-up", "0s"),
    )
    assert code == ExitCode.INCONCLUSIVE
    assert out
    assert "0s: " in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param((), 2, "expected --for 10m", id="no time"),
        pytest.param(("--from", "-1h", "--to", "-2h"), 2, "before --to", id="backwards"),
        pytest.param(("--from", "soon"), 2, "found 'soon'", id="no time at all"),
        pytest.param(("--from", "-1h", "--to", "2999-01-01"), 2, "in the past", id="to come"),
        pytest.param(("--for", "5m", "--from", "-1h"), 2, "found both", id="both"),
        pytest.param((*SPAN, "--metric", "htp"), 2, "did you mean", id="no such preset"),
        pytest.param((*SPAN, "--metric", "http-status"), 2, "'status'", id="label not there"),
        pytest.param((*SPAN, "--total", "x"), 2, "--bad or --good", id="half a ratio"),
        pytest.param(
            (*SPAN, "--tolerance", "0.5"), 2, "--tolerance: expected a factor", id="below 1"
        ),
        pytest.param(
            (*SPAN, "--step", "1500ms"), 2, "--step: expected an interval", id="half seconds"
        ),
        pytest.param((*SPAN, "--pool", "sqlalchemy"), 2, "needs the pool's size", id="no size"),
    ],
)
def test_wrong_options_are_said_before_anything_else(canary, archive, arguments, code, message):
    """One line on standard error, nothing on standard output."""
    found, out, err = canary("analyze", "--prometheus", archive.url, *PAIR, *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("pair", "code", "message"),
    [
        pytest.param(("--canary", "version=v3"), 2, "--stable: expected label", id="one side"),
        pytest.param(
            ("--canary", "a=b", "--stable", 'a="b"'),
            2,
            "expected different matchers",
            id="the same",
        ),
        pytest.param(("--canary", "a=b", "--stable", "a=c"), 6, "no preset matches", id="nobody's"),
    ],
)
def test_groups_that_make_no_sense_are_refused(canary, archive, pair, code, message):
    """With the option, and what to do."""
    found, _, err = canary("analyze", "--prometheus", archive.url, *pair, *SPAN)
    assert found == code
    assert message in err


def answer(values: str, **more: object) -> Reply:
    """A range answer with one series of these values."""
    result = [
        {"metric": {"group": g, "code": "200"}, "values": json.loads(values)}
        for g in ("canary", "stable")
    ]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        pytest.param(Reply(b"<html>hello</html>"), 1, "expected Prometheus' JSON", id="HTML"),
        pytest.param(Reply(b"", 503), 1, "HTTP 503", id="down"),
        pytest.param(answer(f'[[{TRIED}, "NaN"]]'), 6, "NaN or infinite", id="NaN"),
        pytest.param(
            answer(f'[[{TRIED}, "1"]]', warnings=["a store is missing"]),
            6,
            "a partial answer: a store is missing",
            id="a partial answer",
        ),
    ],
)
def test_odd_answers_are_no_verdict(canary, server_of_odd, reply, code, message):
    """1 where Prometheus could not be asked, 6 where there is no whole answer."""
    server_of_odd.answer = lambda _: reply
    found, out, err = canary(
        "analyze", "--prometheus", server_of_odd.url, *PAIR, *SPAN, "--metric", "http"
    )
    assert found == code
    assert message in out + err


@pytest.fixture
def server_of_odd():
    """A scripted server on loopback."""
    one = HttpServer()
    yield one
    one.close()


def failing(request) -> Reply:
    """Counters of now: ten requests a second on either side, all of the canary's bad."""
    form = request.form
    result = []
    for side in ("canary", "stable"):
        labels = {"group": side, "pod": side, "code": "500" if side == "canary" else "200"}
        if form["query"].endswith("s]"):
            end, seconds = float(form["time"]), int(form["query"].rpartition("[")[2][:-2])
            times = [end - seconds + number for number in range(seconds + 1)]
            mine = 'version="v3"' in form["query"]
            if mine is not (side == "canary"):
                continue
        else:
            times = [float(form["start"]), float(form["end"])]
        points = [[time, str(int(time * 10))] for time in times]
        result.append({"metric": labels, "values": points})
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_live_ends_early_when_the_canary_fails(canary, server_of_odd):
    """An outage of the canary is seen in two intervals; ten minutes are not waited for."""
    server_of_odd.answer = failing
    code, out, _ = canary(
        *("analyze", "--prometheus", server_of_odd.url, *PAIR, "--metric", "http"),
        *("--for", "10m", "--step", "1s", "-o", "json"),
    )
    assert code == ExitCode.FAILED
    assert json.loads(out)["facts"]["reason"] == "CanaryOutage"


def test_nobody_there_is_said_at_once(canary):
    """Even for a live comparison: a wrong address must not take ten minutes."""
    code, out, err = canary(
        "analyze", "--prometheus", "http://127.0.0.1:9", *PAIR, "--for", "10m", "--metric", "http"
    )
    assert (code, out) == (ExitCode.ERROR, "")
    assert "http://127.0.0.1:9: cannot connect" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--tolerance", "nan"), "--tolerance: expected a factor", id="no number"),
        pytest.param(("--step", "0s"), "--step: expected a duration from 1s to 5m", id="no step"),
        pytest.param(("--step", "5h"), "found 5h", id="a step as people write it"),
        pytest.param(
            ("-f", "POLICY", "--step", "5h"), "--step: expected a dur", id="a step for a file"
        ),
        pytest.param(
            ("--tolerated-incident", "5h"),
            "--tolerated-incident: expected a duration",
            id="a long incident",
        ),
    ],
)
def test_wrong_options_are_said_though_nobody_is_there(canary, policy, arguments, message):
    """What is typed is looked at before Prometheus is asked."""
    options = [str(policy) if one == "POLICY" else one for one in arguments]
    url = "http://127.0.0.1:9"
    code, _, err = canary("analyze", "--prometheus", url, *PAIR, "--from", "-1h", *options)
    assert (code, err.startswith("canary: --")) == (2, True)
    assert message in err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://me:secret@host:9090", "without name and password", id="a password"),
        pytest.param("me:secret@host:9090", "without name and password", id="and no scheme"),
        pytest.param("http://[::1", "http://HOST:PORT", id="half an IPv6 address"),
        pytest.param("http://host:port", "http://HOST:PORT", id="a port that is no number"),
        pytest.param("http:///api", "http://HOST:PORT", id="no host"),
    ],
)
def test_an_address_that_is_none_is_refused_and_never_shows_a_password(canary, url, message):
    """The same for every command with --prometheus."""
    code, out, err = canary("analyze", "--prometheus", url, *PAIR, "--from", "-1h")
    assert (code, out) == (2, "")
    assert message in err
    assert "secret" not in err


def test_credentials_are_sent(canary, server_of_odd, tmp_path):
    """Name and password of a file."""
    (tmp_path / "password").write_text("secret\n")
    config = tmp_path / "prometheus.yaml"
    config.write_text("basic_auth: {username: me, password_file: password}\n")
    canary(
        *("analyze", "--prometheus", server_of_odd.url, *PAIR, *SPAN, "--metric", "http"),
        *("--prometheus-config", config),
    )
    assert server_of_odd.requests[0].headers["Authorization"] == "Basic bWU6c2VjcmV0"


def test_a_backtest_finds_the_releases_and_says_what_the_policy_would_have_done(
    canary, archive, policy
):
    """v2 was rolled out and stayed; v3 was bad and was taken back."""
    code, out, _ = canary(
        "backtest", policy, "--prometheus", archive.url, "--from", START, "-o", "json"
    )
    document = json.loads(out)
    assert code == ExitCode.OK
    found = {case["name"]: case["facts"] for case in document["cases"]}
    assert {name: (one["fate"], one["decision"]) for name, one in found.items()} == {
        "auth-66b8d9c4f7": ("stayed", "promote"),
        "auth-7c9e5f8d6b": ("taken back", "roll back"),
    }
    assert document["facts"]["falseRollbacks"] == 0
    bad = found["auth-7c9e5f8d6b"]
    assert bad["badByThen"] < bad["bad"] / 3


def test_a_backtest_prints_a_table_and_fails_where_that_is_asked_for(canary, archive, policy):
    """Were v3 known to be good, rolling it back would have been wrong."""
    code, out, _ = canary(
        *("backtest", policy, "--prometheus", archive.url, "--from", START, "--known-good"),
        *("--split-label", "version", "--fail-on-false-rollback"),
    )
    assert code == ExitCode.FAILED
    assert out.startswith("RELEASE")
    assert "roll back (!)" in out
    assert "false rollbacks: 1 of 2 good ones" in out


def test_a_backtest_takes_the_releases_from_a_file(canary, archive, policy, tmp_path):
    """With groups by hand, and with those that are found in the window."""
    table = tmp_path / "releases.csv"
    rows = [
        f"by hand,{TRIED},{TRIED + 1800},version=v3,version=v2,no",
        f"found,{ROLLED},{TRIED},,,",
    ]
    table.write_text("\n".join(["name,start,end,canary,stable,good", *rows, ""]))
    code, out, _ = canary(
        *("backtest", policy, "--prometheus", archive.url, "--from", START, "--releases", table)
    )
    assert code == ExitCode.OK
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["by", "hand"]
    assert "roll back" in lines[1]
    assert "promote" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("-n", "other"), (6, "found no version"), id="another namespace"),
        pytest.param(("--split-label", "a b"), (2, "expected a label name"), id="no label"),
        pytest.param(("--where", "x"), (2, "--where: expected label"), id="no matchers"),
        pytest.param(("--releases", "none.csv"), (2, "No such file"), id="no such CSV"),
        pytest.param(("--from", "-1d", "--to", "-2d"), (2, "before --to"), id="backwards"),
    ],
)
def test_a_backtest_of_nothing_says_why(canary, archive, policy, arguments, said):
    """Exit code 6 where the history is empty, 2 where an option is wrong."""
    found, out, err = canary("backtest", policy, "--prometheus", archive.url, *arguments)
    assert (found, out) == (said[0], "")
    assert said[1] in err


def test_a_simulation_is_the_same_with_the_same_seed(canary, policy):
    """All figures but the time it took."""
    asked = ("simulate", policy, "--requests-per-second", "50", "--error-ratio", "5%")
    code, out, _ = canary(*asked, "--runs", "3", "--seed", "7", "-o", "json")
    again = canary(*asked, "--runs", "3", "--seed", "7", "-o", "json")[1]
    documents = [json.loads(text) | {"seconds": 0} for text in (out, again)]
    assert code == ExitCode.OK
    assert documents[0] == documents[1]
    assert [case["name"] for case in documents[0]["cases"]] == ["fault", "good release", "at 10 %"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((), "--error-ratio 0.01, --leak", id="no fault"),
        pytest.param(("--error-ratio", "2"), "between 0 and 1", id="above 1"),
        pytest.param(("--leak", "5000"), "1/5000", id="no share"),
        pytest.param(("--leak", "1/0"), "1/5000", id="one in none"),
        pytest.param(("--error-ratio", "1%", "--metric", "x"), "errors", id="no such metric"),
    ],
)
def test_a_simulation_of_nothing_is_refused(canary, policy, arguments, message):
    """Exit code 2, and what is expected."""
    code, out, err = canary("simulate", policy, "--requests-per-second", "50", *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert message in err


def test_a_terminal_sees_how_far_a_simulation_is(policy):
    """On standard error, and it is wiped away at the end; standard output is no part of it."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "canary", "simulate", str(policy), "--requests-per-second"]
    done = subprocess.run(
        [*command, "100", "--error-ratio", "0.02", "--runs", "40"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        timeout=60,
        check=True,
    )
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    assert shown.endswith("\r\x1b[K")
    assert b"\x1b" not in done.stdout
