"""The supervisor, with real processes."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import psutil
import pytest

from canary.demo.cluster.processes import ChildDiedError, Command, Supervisor, wait_until
from canary.demo.cluster.workdir import LocalError

STACK = """
import pathlib, sys, threading
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import Command, Supervisor
from canary.demo.cluster.workdir import interrupt_on_signals, work_directory

base = pathlib.Path(sys.argv[1])
with interrupt_on_signals(), work_directory(base) as work, Supervisor(work / "logs") as supervisor:
    start_postgres(supervisor, work / "pg")
    supervisor.start(Command("sleeper", ("/bin/sleep", "1000")))
    print(*[child.pid for child in supervisor.children], flush=True)
    threading.Event().wait()
"""


def shell(name: str, script: str, grace: float = 8.0) -> Command:
    """A child that runs a line of shell."""
    return Command(name, ("/bin/sh", "-c", script), grace=grace)


def remaining(pids: list[int], seconds: float = 10) -> list[int]:
    """Those still running after a while; a zombie is dead, whoever has yet to collect it."""
    deadline = monotonic() + seconds
    while (alive := [pid for pid in pids if runs(pid)]) and monotonic() < deadline:
        threading.Event().wait(0.02)
    return alive


def runs(pid: int) -> bool:
    """Whether the process is alive."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        pytest.param("echo no such table; exit 3", r"exit code 3; .*\nno such table", id="a code"),
        pytest.param("kill -9 $$", "was ended by SIGKILL", id="a signal"),
        pytest.param("exit 1", r"\(empty log\)", id="silence"),
        pytest.param("printf '\\377\\n'; exit 1", "\N{REPLACEMENT CHARACTER}", id="binary rubbish"),
    ],
)
def test_a_child_that_dies_is_reported_with_its_last_words(
    supervisor: Supervisor, script: str, sentence: str
):
    """The message has the name, how it ended, and the end of its log."""
    child = supervisor.start(shell(f"mortal-{len(script)}", script))
    assert child.wait(10)
    with pytest.raises(ChildDiedError, match=sentence):
        supervisor.check()
    supervisor.forget(child)


def test_a_program_that_is_not_there_is_named(supervisor: Supervisor):
    """The launcher says it in the child's own log."""
    child = supervisor.start(Command("nothing", ("/no/such/program",)))
    with pytest.raises(ChildDiedError, match=r"cannot start /no/such/program: No such file"):
        wait_until(lambda: False, child, seconds=10, what="an answer")
    supervisor.forget(child)


def test_a_child_that_is_never_ready_is_reported_in_time(supervisor: Supervisor):
    """Waiting is bounded, and the message says for what."""
    child = supervisor.start(shell("slow", "exec sleep 1000"))
    with pytest.raises(
        LocalError, match=r"expected an answer within 0.1 s, found none; slow still runs"
    ):
        wait_until(lambda: False, child, seconds=0.1, what="an answer")
    supervisor.forget(child)


def test_children_stop_in_reverse_order(tmp_path: Path):
    """What was started last may need what was started first."""
    order = tmp_path / "order"
    with Supervisor(tmp_path / "logs") as supervisor:
        for name in ("first", "second", "third"):
            script = (
                f"trap 'echo {name} >> {order}; exit' TERM; echo up; while :; do sleep .05; done"
            )
            child = supervisor.start(shell(name, script))
            wait_until(lambda c=child: c.last_lines() == "up", child, seconds=10, what="up")
    assert order.read_text().split() == ["third", "second", "first"]


def test_a_child_that_does_not_listen_is_killed_with_its_group(tmp_path: Path):
    """TERM, a bounded wait, then KILL for it and everything that it started."""
    with Supervisor(tmp_path) as supervisor:
        script = "trap '' TERM; sleep 1000 & echo $!; wait; wait"
        child = supervisor.start(shell("stubborn", script, grace=0.1))
        wait_until(lambda: child.last_lines().isdecimal(), child, seconds=10, what="its id")
        grandchild = int(child.last_lines())
    assert child.exit_code == -signal.SIGKILL
    assert remaining([grandchild]) == []


def test_a_child_that_leaves_helpers_behind_takes_them_along(tmp_path: Path):
    """Its group dies with it, also when it ends by itself."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start(shell("parent", "sleep 1000 & echo $!"))
        assert child.wait(10)
        assert remaining([int(child.last_lines())]) == []


def test_a_stopped_child_is_no_death_and_stopping_twice_is_harmless(tmp_path: Path):
    """`check` is about processes that end by themselves."""
    supervisor = Supervisor(tmp_path)
    child = supervisor.start(shell("once", "exec sleep 1000"))
    child.stop()
    supervisor.check()
    child.stop()
    supervisor.stop()
    supervisor.stop()
    assert not child.alive


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path):
    """The kernel ties a child to a thread; a controller's worker thread may end early."""
    with Supervisor(tmp_path) as supervisor:
        thread = threading.Thread(
            target=lambda: supervisor.start(shell("lasting", "echo up; exec sleep 1000"))
        )
        thread.start()
        thread.join()
        (child,) = supervisor.children
        wait_until(lambda: child.last_lines() == "up", child, seconds=10, what="up")
        assert child.alive


@pytest.mark.parametrize(
    ("number", "leaves"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C: no process, no directory"),
        pytest.param(signal.SIGTERM, 0, id="SIGTERM: no process, no directory"),
        pytest.param(signal.SIGKILL, 1, id="SIGKILL: no process; the next run takes the directory"),
    ],
)
def test_every_child_is_gone_after_our_own_end(room: Path, number: signal.Signals, leaves: int):
    """With a real PostgreSQL and its own children, too."""
    base = room / number.name
    base.mkdir()
    base.chmod(0o711)
    with subprocess.Popen(
        [sys.executable, "-c", STACK, str(base)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        family = [p.pid for child in children for p in (child, *child.children(recursive=True))]
        process.send_signal(number)
        process.wait(60)
    assert len(family) > 3
    assert remaining(family) == []
    assert len(list(base.iterdir())) == leaves
