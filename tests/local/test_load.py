"""The load generator is open-loop: what a server does, does not change what is sent."""

import socket
import subprocess
import sys

from canary.local.schedule import Profile, arrivals
from canary.local.tally import Record


def run_load(url: str, profile: Profile) -> list[Record]:
    """One second of it against a server that never answers; gives up after 0.3 s each."""
    command = [sys.executable, "-m", "canary.local.load", "--url", url, "--seconds", "1"]
    options = ["--rate", str(profile.rate), "--seed", str(profile.seed), "--timeout", "0.3"]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return [Record.from_json(line) for line in ran.stdout.splitlines()]


def test_arrival_times_do_not_depend_on_responses():
    """A server that never answers gets every request of the schedule, and each of them counts."""
    profile = Profile(60, seed=4)
    with socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        records = run_load(f"http://127.0.0.1:{silent.getsockname()[1]}", profile)
    due = len(list(arrivals(profile, 1)))
    assert records[-1].kind == "summary"
    assert records[-1].sent == due == records[-1].failed
    assert records[-1].statuses == {"timeout": due}
    assert records[-1].p50_ms >= 299
    assert sum(record.sent for record in records[:-1]) == due


def test_a_server_that_is_not_there_is_counted_as_refused():
    """It is a failure of every request, not of the load generator."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    summary = run_load(url, Profile(20, seed=1))[-1]
    assert summary.sent == summary.statuses["refused"] > 0


def test_a_wrong_rate_is_an_error_of_usage():
    """Exit code 2 and a sentence, no traceback."""
    command = [sys.executable, "-m", "canary.local.load", "--url", "http://x", "--rate", "0"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "a rate must be more than 0" in ran.stderr
    assert "Traceback" not in ran.stderr
