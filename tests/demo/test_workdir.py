"""The work directory, free ports, and the sentences of a machine that has no room."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.demo.cluster.workdir import (
    LOCK,
    LocalError,
    disk_errors,
    free_ports,
    ignore_signals,
    interrupt_on_signals,
    postpone_signals,
    remove_leftovers,
    work_directory,
)


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(None, id="the block ends"),
        pytest.param(ValueError(), id="an exception"),
        pytest.param(KeyboardInterrupt(), id="Ctrl-C"),
    ],
)
def test_the_work_directory_is_gone_afterwards(tmp_path: Path, ending: BaseException | None):
    """However the block ends, nothing is left behind."""

    def use() -> None:
        with work_directory(tmp_path) as directory:
            (directory / "data").write_text("something")
            if ending:
                raise ending

    if ending:
        with pytest.raises(type(ending)):
            use()
    else:
        use()
    assert list(tmp_path.iterdir()) == []


def test_a_work_directory_that_somebody_removed_is_no_error(tmp_path: Path):
    """A cleaner of temporary files may have been quicker."""
    with work_directory(tmp_path) as directory:
        (directory / LOCK).unlink()
        directory.rmdir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_behind_is_removed_by_the_next(tmp_path: Path):
    """SIGKILL leaves no time to clean up; the lock dies with the process."""
    script = (
        "import os, pathlib, sys\n"
        "from canary.demo.cluster.workdir import work_directory\n"
        "with work_directory(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, check=False)
    (left,) = tmp_path.iterdir()
    with work_directory(tmp_path) as directory:
        assert list(tmp_path.iterdir()) == [directory] != [left]


def test_a_living_run_keeps_its_directory(tmp_path: Path):
    """A second demo at the same time must not clean up the first."""
    with work_directory(tmp_path) as directory:
        assert remove_leftovers(tmp_path) == []
        assert directory.is_dir()


def test_too_little_room_is_said_before_anything_starts(tmp_path: Path):
    """A database on a full disk fails later and says less."""
    with (
        pytest.raises(LocalError, match=r"1073741824 MB of disk .* MB are free"),
        work_directory(tmp_path, needed=2**50),
    ):
        pytest.fail("there was no room")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        pytest.param("/dev/full", "the disk is full", id="a full disk"),
        pytest.param("/no/such/place", "a directory was deleted", id="a directory is gone"),
        pytest.param("/proc/1/mem", r"cannot write /proc/1/mem", id="anything else"),
    ],
)
def test_file_errors_become_sentences(path: str, sentence: str):
    """Each says which file, and what to do."""
    with pytest.raises(LocalError, match=sentence), disk_errors(Path(path)):
        Path(path).write_text("x")


def test_free_ports_are_different():
    """They are held together until all are known."""
    assert len(set(free_ports(20))) == 20


def test_no_free_port_is_a_sentence():
    """The system has fewer than a million to give."""
    with pytest.raises(LocalError, match=r"1000000 free TCP ports on 127.0.0.1 are needed"):
        free_ports(1_000_000)


def test_an_error_that_an_interrupt_causes_is_an_interrupt():
    """A signal while a lock is taken makes the lock complain that nobody holds it."""

    def interrupted_lock() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            threading.Lock().release()

    with pytest.raises(KeyboardInterrupt), interrupt_on_signals():
        interrupted_lock()


def test_an_error_of_its_own_stays_one():
    """Nobody interrupted anything."""
    with pytest.raises(RuntimeError), interrupt_on_signals():
        threading.Lock().release()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_as_ctrl_c_does(number: signal.Signals):
    """So every `finally` runs; afterwards the signal has its old meaning."""
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupt_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_cut_the_cleanup_short():
    """It would leave processes behind."""
    with ignore_signals():
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background of a script and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_postponed_ctrl_c_counts_afterwards():
    """It is late, not lost."""
    finished = False
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # the order is the statement
        with postpone_signals():
            signal.raise_signal(signal.SIGINT)
            finished = True
        pytest.fail("the signal was lost")
    assert finished
