"""Whole loads against a real server on this machine; short, and without a word about speed."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from canary.errors import TransientError
from canary.loadtest.generator import (
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestMix,
    RequestTemplate,
    parse_template,
)
from canary.loadtest.generator.run import run_load
from tests.http_server import serve_status

SHORT = LoadSchedule((LoadStage(100, 100, 0.2, measured=False), LoadStage(100, 100, 0.6)))


def test_every_request_of_the_schedule_is_sent_and_counted():
    """All workers together; the warm-up counts apart, connections are used again."""
    with serve_status() as server:
        result = run_load(LoadPlan(server.url, SHORT, workers=2))
    assert (result.measured.due, result.measured.ok) == (60, 60)
    assert result.stage(0).ok == 20
    assert result.measured.statuses == {"200": 60}
    assert result.measured.latency.count == result.measured.lag.count == 60
    assert len(server.requests) == 80
    assert len({one.connection for one in server.requests}) < 80
    assert not result.stopped


def test_requests_go_out_as_written():
    """Method, path, headers and body, and none that nobody asked for."""
    mix = RequestMix(
        (
            RequestTemplate(
                "post",
                1,
                "POST",
                parse_template("/a?b={{ number }}"),
                {"X-A": parse_template("b")},
                parse_template("hi"),
            ),
            RequestTemplate("empty", 1, "POST"),
            RequestTemplate("head", 1, "HEAD"),
            RequestTemplate(
                "put",
                1,
                "PUT",
                parse_template("/ä b%20"),
                {"X-U": parse_template("ü")},
                parse_template("x"),
            ),
        )
    )
    with serve_status() as server:
        result = run_load(LoadPlan(server.url + "/base/", SHORT, mix))
    by_method = {(one.method, one.content): one for one in server.requests}
    post = by_method["POST", b"hi"]
    assert post.path.startswith("/base/a?b=")
    assert post.headers["X-A"] == "b"
    assert not {"Content-Type", "Expect"} & set(post.headers)
    assert post.headers["User-Agent"] == "canary-loadtest"
    assert by_method["PUT", b"x"].path == "/base/%C3%A4%20b%20"
    assert set(by_method) == {("POST", b"hi"), ("POST", b""), ("HEAD", b""), ("PUT", b"x")}
    assert sum(result.request(one.name).ok for one in mix.requests) == 60


def test_what_fails_is_counted_by_what_happened():
    """A status that was not expected, and a connection that was closed."""
    with serve_status(lambda asked: {"/a": 503, "/b": 0}.get(asked.path, 404)) as server:
        kinds = [RequestTemplate(name, path=parse_template(f"/{name}")) for name in "abc"]
        kinds[2] = replace(kinds[2], expected=frozenset({404}))
        result = run_load(LoadPlan(server.url, SHORT, RequestMix(tuple(kinds))))
    assert result.request("a").statuses.keys() == {"503"}
    assert result.request("b").statuses.keys() == {"reset"}
    assert result.request("a").failed + result.request("b").failed == result.measured.failed
    assert result.request("c").failed == 0
    assert result.request("b").latency.count == 0


def test_a_stalled_server_cannot_hide():
    """What it does not answer is sent all the same, counts as failed, and with all its waiting."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = run_load(LoadPlan(url, SHORT, timeout=0.5))
    assert result.measured.statuses == {"timeout": 60}
    assert result.measured.latency.quantile(0.01) >= 0.499


def test_latency_counts_from_when_a_request_was_due():
    """With one request in flight, those that are due meanwhile are not sent, and that is said."""
    answered = threading.Event()

    def slow(_: object) -> int:
        answered.wait(0.3)
        return 200

    with serve_status(slow) as server:
        result = run_load(LoadPlan(server.url, SHORT, max_in_flight=1))
    measured = result.measured
    assert measured.due == 60
    assert measured.unsent > 40
    assert measured.unsent + measured.over == 60
    assert measured.offered_ratio < 0.5


def test_each_second_is_told_once_and_in_order():
    """Seconds add up to the result, whatever the workers do."""
    told = []
    schedule = LoadSchedule((LoadStage(40, 40, 1.2),))
    with serve_status() as server:
        result = run_load(LoadPlan(server.url, schedule, workers=2), each_second=told.append)
    assert [one.index for one in told] == list(range(len(told)))
    assert sum(one.second.due for one in told) == result.measured.due == 48
    assert told[0].rate == 40


def test_stopping_gives_up_what_is_under_way():
    """Long before the end of the schedule, and what had no answer is counted nowhere."""
    stop = threading.Event()
    with serve_status() as server:
        plan = LoadPlan(server.url, LoadSchedule((LoadStage(50, 50, 600),)))
        result = run_load(plan, stop=stop, each_second=lambda _: stop.set())
    assert result.stopped
    assert 0 < result.measured.over <= result.measured.due < 600


def test_a_target_that_is_not_there_is_no_load():
    """One message before anything is sent."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(TransientError, match="cannot connect to 127"):
        run_load(LoadPlan(url, SHORT))


def test_what_speaks_no_tls_is_said():
    """With the options that matter."""
    with (
        serve_status() as server,
        pytest.raises(TransientError, match=r"TLS handshake.*--ca-file"),
    ):
        run_load(LoadPlan(server.url.replace("http", "https"), SHORT))


@pytest.mark.skipif(shutil.which("nghttpd") is None, reason="nghttpd is not installed")
def test_http2_without_an_upgrade(tmp_path):
    """HTTP/2 from the first byte, many requests on one connection."""
    (tmp_path / "index.html").write_text("hello")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", str(tmp_path), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            result = run_load(LoadPlan(f"http://127.0.0.1:{port}", SHORT, http2=True))
        finally:
            server.terminate()
    assert result.measured.statuses == {"200": 60}


def _wait_for(port: int) -> None:
    never, deadline = threading.Event(), time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        never.wait(0.02)
    pytest.fail("the server did not start")


def test_http2_is_not_answered_by_a_server_that_has_none():
    """Nothing falls back to HTTP/1.1 silently."""
    with serve_status() as server:
        result = run_load(LoadPlan(server.url, SHORT, http2=True))
    assert result.measured.ok == 0
    assert result.measured.failed == 60
