"""Threads that everybody gets a fair part of."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from canary.fair_executor import CrowdedError, FairExecutor


@pytest.fixture
def executor() -> Iterator[FairExecutor]:
    """Four threads, of which one caller has two; three more calls of it may wait."""
    with closing(FairExecutor(4, 2, "test", waiting=3)) as one:
        yield one


def test_another_callers_call_overtakes_those_that_wait(executor: FairExecutor) -> None:
    """Two of the slow caller's run, the others of it wait."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow() -> int:
        begun.release()
        assert go_on.wait(20)
        return 1

    calls = [executor.submit("slow", slow) for _ in range(4)]
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20)
    assert executor.submit("other", lambda: 2).result(20) == 2
    assert not begun.acquire(blocking=False)
    go_on.set()
    assert [one.result(20) for one in calls] == [1, 1, 1, 1]


def test_calls_of_one_caller_keep_their_order() -> None:
    """Where only one may run at a time."""
    seen: list[int] = []
    with closing(FairExecutor(4, 1, "test")) as one:
        for call in [
            one.submit("a", lambda number=number: seen.append(number)) for number in range(9)
        ]:
            call.result(20)
    assert seen == list(range(9))


def test_too_many_calls_that_wait_are_refused(executor: FairExecutor) -> None:
    """Memory is bounded; the caller hears why."""
    go_on = threading.Event()
    calls = [executor.submit("slow", lambda: go_on.wait(20)) for _ in range(6)]
    assert isinstance(calls[5].exception(20), CrowdedError)
    go_on.set()
    assert all(one.result(20) for one in calls[:5])


def test_an_error_is_its_callers_and_ends_no_thread(executor: FairExecutor) -> None:
    """The next call runs all the same."""
    for _ in range(9):
        failed = executor.submit("a", lambda: 1 // 0)
        assert isinstance(failed.exception(20), ZeroDivisionError)
    assert executor.submit("a", lambda: 3).result(20) == 3


def test_closing_cancels_what_waits() -> None:
    """Nobody waits for it in vain."""
    go_on = threading.Event()
    executor = FairExecutor(1, 1, "test")
    calls = [executor.submit("a", lambda: go_on.wait(20)) for _ in range(3)]
    executor.close()
    assert [one.cancelled() for one in calls[1:]] == [True, True]
    go_on.set()
    assert calls[0].result(20)
    assert executor.submit("a", lambda: 1).cancelled()
