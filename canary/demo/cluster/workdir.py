"""Temporary work directories that are always removed, signal handling and free ports."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from canary.errors import PermanentError

PREFIX = "canary-local-"
LOCK = "lock"
REMOVE_ATTEMPTS = 3
Handler = Callable[[int, FrameType | None], None]
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NEEDED_BYTES = 300 * 2**20
"""A PostgreSQL data directory takes about 50 MB; logs take the rest."""


class LocalError(PermanentError):
    """This machine cannot run the demo; the message has the cause."""


@contextmanager
def work_directory(parent: Path | None = None, needed: int = NEEDED_BYTES) -> Iterator[Path]:
    """Create a directory under `parent` (default: the system's temporary one), then remove it.

    After SIGKILL it stays; the next run finds it unlocked and removes it.

    Raises:
        LocalError: the directory cannot be created, or the disk has too little space.
    """
    base = parent or Path(tempfile.gettempdir())
    with disk_errors(base), ExitStack() as stack:
        remove_leftovers(base)
        _check_room(base, needed)
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        stack.callback(_remove_directory, directory)
        directory.chmod(0o711)  # PostgreSQL may run as another user, who must enter it
        lock = _lock_directory(directory)
        cleanup = stack.pop_all()
    try:
        yield directory
    finally:
        with ignore_signals():
            cleanup.close()
            os.close(lock)


def remove_leftovers(base: Path) -> list[Path]:
    """Remove the work directories in `base` whose process is dead; returns those removed."""
    removed = []
    for directory in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(directory / LOCK, os.O_RDWR)
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_directory(directory)
                removed.append(directory)
            os.close(lock)
    return removed


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Convert errors of file operations under `place` to LocalError with advice.

    Raises:
        LocalError: a full disk, a missing directory, a missing permission …
    """
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full: free some space, or set TMPDIR to a larger disk",
            errno.EDQUOT: "the disk quota is used up: free some space, or set TMPDIR elsewhere",
            errno.ENOENT: "a directory was deleted: check what cleans up temporary files",
            errno.EACCES: "no permission: set TMPDIR to a directory that you may write to",
            errno.EROFS: "read-only file system: set TMPDIR to a directory that can be written",
        }.get(error.errno or 0, error.strerror or str(error))
        raise LocalError(f"cannot write {error.filename or place}: {advice}") from error


def free_ports(count: int) -> list[int]:
    """Return `count` different free TCP ports of the loopback address.

    Raises:
        LocalError: the system has too few free ports.
    """
    with ExitStack() as stack:
        try:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
        except OSError as error:
            raise LocalError(
                f"{count} free TCP ports on 127.0.0.1 are needed and the system gave fewer "
                f"({error.strerror}): stop something that listens or holds many connections "
                "(`ss -tan` shows them) and try again"
            ) from error
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGTERM and SIGHUP as well, so that everything is cleaned up."""
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    # SIGINT as well, because scripts start background processes with SIGINT ignored.
    with _install_handlers(interrupt, *END_SIGNALS):
        try:
            yield
        except Exception as error:
            # A signal in the middle of `with lock` ends in "release unlocked lock", not as itself.
            if interrupted:
                raise KeyboardInterrupt from error
            raise


@contextmanager
def ignore_signals() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM during a cleanup, which must be bounded in time."""
    with _install_handlers(signal.SIG_IGN, *END_SIGNALS):
        yield


@contextmanager
def postpone_signals() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the end of the block, which must be short."""
    came: list[int] = []
    with _install_handlers(lambda number, _: came.append(number), *END_SIGNALS):
        yield
    for number in came:
        signal.raise_signal(number)


@contextmanager
def _install_handlers(
    handler: Handler | signal.Handlers, *numbers: signal.Signals
) -> Iterator[None]:
    """Install `handler` for the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _check_room(base: Path, needed: int) -> None:
    free = shutil.disk_usage(base).free
    if free < needed:
        raise LocalError(
            f"{needed >> 20} MB of disk are needed in {base} and {free >> 20} MB are free: "
            "free some space, or set TMPDIR to a larger disk"
        )


def _lock_directory(directory: Path) -> int:
    """Lock the directory until this process ends; the lock file gets its name once locked."""
    lock = os.open(directory / f"{LOCK}.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (directory / f"{LOCK}.new").rename(directory / LOCK)
    return lock


def _remove_directory(directory: Path) -> None:
    for _ in range(REMOVE_ATTEMPTS):  # the last files of a dying process may still appear
        shutil.rmtree(directory, ignore_errors=True)
