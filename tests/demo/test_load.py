"""The load generator is open-loop: what a server does, does not change what is sent."""

import json
import socket
import subprocess
import sys

from canary.demo.load.schedule import LoadProfile, generate_arrivals
from canary.demo.load.tally import LoadRecord
from tests.http_server import serve_status


def run_load(url: str, profile: LoadProfile) -> list[LoadRecord]:
    """One second of it against a server that never answers; gives up after 0.3 s each."""
    command = [sys.executable, "-m", "canary.demo.load.generator", "--url", url, "--seconds", "1"]
    options = ["--rate", str(profile.rate), "--seed", str(profile.seed), "--timeout", "0.3"]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return [LoadRecord.from_json(line) for line in ran.stdout.splitlines()]


def test_arrival_times_do_not_depend_on_responses():
    """A server that never answers gets every request of the schedule, and each of them counts."""
    profile = LoadProfile(60, seed=4)
    with socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        records = run_load(f"http://127.0.0.1:{silent.getsockname()[1]}", profile)
    due = len(list(generate_arrivals(profile, 1)))
    assert records[-1].kind == "summary"
    assert records[-1].sent == due == records[-1].failed
    assert records[-1].statuses == {"timeout": due}
    assert records[-1].p50_ms >= 299
    assert sum(record.sent for record in records[:-1]) == due


def test_a_server_that_is_not_there_is_counted_as_refused():
    """It is a failure of every request, not of the load generator."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    summary = run_load(url, LoadProfile(20, seed=1))[-1]
    assert summary.sent == summary.statuses["refused"] > 0


def test_a_wrong_rate_is_an_error_of_usage():
    """Exit code 2 and a sentence, no traceback."""
    command = [
        sys.executable,
        "-m",
        "canary.demo.load.generator",
        "--url",
        "http://x",
        "--rate",
        "0",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "expected a rate above 0" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_each_failed_request_is_named_and_the_host_is_the_one_asked_for():
    """Behind a gateway the host decides who answers; a line per failure says when and how."""
    command = [sys.executable, "-m", "canary.demo.load.generator", "--seconds", "1", "--rate", "20"]
    with serve_status(lambda _: 503) as server:
        options = ["--url", server.url, "--host", "auth.example", "--failures"]
        ran = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    failures = [line for line in lines if line["kind"] == "failure"]
    assert len(failures) == lines[-1]["sent"] == len(server.requests) > 0
    assert {line["status"] for line in failures} == {"503"}
    assert {one.headers["Host"] for one in server.requests} == {"auth.example"}
