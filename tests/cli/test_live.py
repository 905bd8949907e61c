"""The live view and the question before a request, on a real terminal (a pty)."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.cli.releases import store_release
from tests.cli.test_status import until
from tests.kube.api_server import ApiServer

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of 100 columns."""

    def __init__(self, *arguments: str) -> None:
        self.seen = ""
        self._master, slave = pty.openpty()
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "canary", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the terminal is gone when the program is
            while chunk := os.read(self._master, 4096):
                self.seen += ESCAPES.sub("", chunk.decode(errors="replace"))

    def shows(self, words: str) -> None:
        """Waits until the words were on the screen."""
        until(lambda: words in self.seen, 20)

    def types(self, keys: str) -> None:
        """Somebody presses keys."""
        select.select([], [self._master], [], 5)
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Its exit code."""
        code = self.child.wait(20)
        self._reader.join(5)
        return code


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Ends the program with the test."""
    found = Terminal(*arguments)
    try:
        yield found
    finally:
        if found.child.poll() is None:
            found.child.kill()
            found.child.wait(10)


def test_the_picture_moves_until_the_end(server: ApiServer) -> None:
    """Step, weight and evidence while it goes on; at the end how it stands stays on the screen."""
    store_release(server.cluster, "progressing")
    with terminal("status", "auth", "-w") as screen:
        screen.shows("Progressing at 25 %")
        screen.shows("evidence against the canary")
        store_release(server.cluster, "approval")
        screen.shows("Waiting for approval at 50 %")
        store_release(server.cluster, "rolled back")
        screen.shows("Rolled back")
        assert screen.end() == 3
    assert "canary explain auth -n prod" in screen.seen


def test_a_watch_that_breaks_is_said_above_the_picture(server: ApiServer) -> None:
    """The picture stays; what is wrong is said once."""
    store_release(server.cluster, "progressing")
    with terminal("status", "auth", "-w") as screen:
        screen.shows("Progressing at 25 %")
        until(lambda: server.cluster.watching > 0)
        server.refuse["watch"] = 503
        server.cluster.break_watches()
        screen.shows("retrying")
        del server.refuse["watch"]
        screen.shows("the watch works again")
        store_release(server.cluster, "promoted")
        assert screen.end() == 0
    assert screen.seen.count("retrying") == 1


def test_ci_gets_lines_even_on_a_terminal(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that keeps every picture is unreadable."""
    monkeypatch.setenv("CI", "true")
    store_release(server.cluster, "progressing")
    with terminal("status", "auth", "-w") as screen:
        screen.shows("prod/auth phase=Progressing")
        until(lambda: server.cluster.watching > 0)
        store_release(server.cluster, "promoted")
        assert screen.end() == 0
    assert "evidence against" not in screen.seen


def test_ctrl_c_leaves_without_a_word(server: ApiServer) -> None:
    """Exit code 130, no traceback."""
    store_release(server.cluster, "progressing")
    with terminal("status", "auth", "-w") as screen:
        screen.shows("Progressing at 25 %")
        until(lambda: server.cluster.watching > 0)
        screen.child.send_signal(signal.SIGINT)
        assert screen.end() == 130
    assert "Traceback" not in screen.seen
    assert "Error" not in screen.seen


def test_a_person_is_asked(server: ApiServer) -> None:
    """What it does, then the question; no is no, and yes is written."""
    store_release(server.cluster, "approval")
    with terminal("promote", "auth") as screen:
        screen.shows("prod/auth: approves step 3 of 3 (50 %)")
        screen.shows("Promote auth? [y/N]:")
        screen.types("n\n")
        assert screen.end() == 1
    assert "Nothing was changed." in screen.seen
    assert server.asked["patch", "canaryreleases"] == 0
    with terminal("promote", "auth") as screen:
        screen.shows("[y/N]:")
        screen.types("y\n")
        assert screen.end() == 0
    assert server.asked["patch", "canaryreleases"] == 1


def test_ctrl_c_at_the_question(server: ApiServer) -> None:
    """Exit code 130, and nothing is written."""
    store_release(server.cluster, "approval")
    with terminal("promote", "auth") as screen:
        screen.shows("[y/N]:")
        screen.child.send_signal(signal.SIGINT)
        assert screen.end() == 130
    assert server.asked["patch", "canaryreleases"] == 0


def test_get_w_adds_a_line_for_each_change(server: ApiServer) -> None:
    """Columns stay below each other; what is deleted says so; one watch."""
    store_release(server.cluster, "progressing")
    with terminal("get", "-w") as screen:
        screen.shows("GatheringEvidence")
        until(lambda: server.cluster.watching > 0)
        store_release(server.cluster, "promoted")
        screen.shows("Promoted")
        screen.child.send_signal(signal.SIGINT)
        assert screen.end() == 130
    head, first, second = screen.seen.splitlines()[:3]
    assert head.index("REASON") == first.index("GatheringEvidence") == second.index("Promoted")
    assert server.asked["watch", "canaryreleases"] == 1
