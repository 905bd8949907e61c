"""Starts, watches and stops child processes; none outlives this process, even after SIGKILL.

Each child leads its own session and process group, and gets a signal from the kernel when this
process dies (PR_SET_PDEATHSIG). The kernel sends it when the *thread* that forked the child ends,
so each child has a thread that forks it and then waits for it.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from canary.demo.cluster import launch
from canary.demo.cluster.workdir import LocalError, disk_errors, ignore_signals, postpone_signals

LOG_TAIL_BYTES = 16_384
KILL_WAIT = 5.0
"""Seconds to wait for the end of a killed process."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run. `argv[0]` is a path; `environment` extends that of this process.

    `user` is the account of the process (empty: the current one; another one needs root). Standard
    output goes to the file `output` (default: the log, which always gets standard error).
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str = ""
    output: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace: float = 8.0
    """Seconds between `stop_signal` and SIGKILL for the whole group."""


class ChildDiedError(LocalError):
    """A process that should run has ended; the message has its exit code and the end of its log."""


class ChildProcess:
    """One running process; safe to use from several threads. Made by `Supervisor.start`."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        self._dead = threading.Event()
        self._stop_requested = False
        self._lock = threading.Lock()
        started: Future[subprocess.Popen[bytes]] = Future()
        waiter = threading.Thread(
            target=self._run_process, args=(started,), name=f"waits-for-{command.name}", daemon=True
        )
        waiter.start()
        self._process = started.result()

    @property
    def name(self) -> str:
        """The name from the command."""
        return self.command.name

    @property
    def pid(self) -> int:
        """Process id, and id of its process group and session."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return not self._dead.is_set()

    @property
    def died(self) -> bool:
        """Whether the process ended without a call of `stop`."""
        return not self.alive and not self._stop_requested

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while the process runs; negative: the number of the ending signal."""
        return self._process.returncode if self._dead.is_set() else None

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; returns whether the process has ended."""
        return self._dead.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, not its group; does nothing after its end."""
        with self._lock:
            if self.alive:
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Send `stop_signal`, wait for `grace`, then kill the group. May be called repeatedly."""
        self._stop_requested = True
        self.signal(self.command.stop_signal)
        if not self.wait(self.command.grace):
            self.signal(signal.SIGKILL)
            self.wait(KILL_WAIT)

    def last_lines(self, count: int = 10) -> str:
        """Return the last lines of its log, or a note that the log is empty."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"(its log {self.log} cannot be read: {error.strerror})"
        return "\n".join(lines[-count:]) or "(empty log)"

    def describe_end(self) -> str:
        """Describe how the process ended, with the end of its log, for an error message."""
        code = self.exit_code
        if code is None:
            how = "still runs"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return f"{self.name} {how}; the last lines of its log:\n{self.last_lines()}"

    def _run_process(self, started: "Future[subprocess.Popen[bytes]]") -> None:
        try:
            process = _spawn_process(self.command, self.log)
        except BaseException as error:  # noqa: BLE001  # raised again where the child is asked for
            started.set_exception(error)
            return
        started.set_result(process)
        # The process is not reaped yet, so no other group can have its id.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._dead.set()


class Supervisor:
    """Manages child processes; as a context manager it stops all of them at the end."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._children: list[ChildProcess] = []
        with disk_errors(logs):
            logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def children(self) -> tuple[ChildProcess, ...]:
        """The children that were started and not forgotten, oldest first, dead or alive."""
        return tuple(self._children)

    def start(self, command: Command) -> ChildProcess:
        """Start a child; its log is `NAME.log`, to which a restart appends.

        Raises:
            LocalError: the process cannot be started (no such file, full disk …).
        """
        with postpone_signals(), disk_errors(self.logs):
            child = ChildProcess(command, self.logs / f"{command.name}.log")
            self._children.append(child)
        return child

    def forget(self, child: ChildProcess) -> None:
        """Stop the child and no longer list it."""
        child.stop()
        self._children.remove(child)

    def check(self) -> None:
        """Check that all children run that were not stopped.

        Raises:
            ChildDiedError: a child has ended by itself.
        """
        for child in self.children:
            if child.died:
                raise ChildDiedError(child.describe_end())

    def stop(self) -> None:
        """Stop all children, the youngest first. Bounded in time; may be called repeatedly."""
        with ignore_signals():
            while self._children:
                child = self._children[-1]
                child.stop()
                if child in self._children:  # a Deployment may forget an instance meanwhile
                    self._children.remove(child)


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line that runs a Python module with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def wait_until(
    ready: Callable[[], bool],
    child: ChildProcess,
    *,
    seconds: float,
    what: str,
    every: float = 0.05,
) -> None:
    """Poll `ready` until it returns true.

    Raises:
        ChildDiedError: the child ended first.
        LocalError: `seconds` have passed; the message names `what` was expected.
    """
    deadline = monotonic() + seconds
    while not ready():
        if child.wait(every):
            raise ChildDiedError(f"expected {what}, but {child.describe_end()}")
        if monotonic() > deadline:
            raise LocalError(
                f"expected {what} within {seconds:g} s, found none; {child.describe_end()}"
            )


def _spawn_process(command: Command, log: Path) -> "subprocess.Popen[bytes]":
    launcher = (sys.executable, "-I", "-S", launch.__file__)
    ties = (str(os.getpid()), str(int(command.death_signal)), command.user)
    with log.open("ab") as log_file, (command.output or log).open("ab") as output_file:
        return subprocess.Popen(  # noqa: S603  # our own command lines, no shell
            (*launcher, *ties, *command.argv),
            stdin=subprocess.DEVNULL,
            stdout=output_file,
            stderr=log_file,
            cwd=command.directory,
            env={**os.environ, **command.environment},
            start_new_session=True,
        )
