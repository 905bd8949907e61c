"""The outbox: order within a queue, no queue delays another, bounded, and an end in time."""

import logging
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from canary.errors import PermanentError, TransientError
from canary.kube.timing import SystemTiming
from canary.notify.delivery_queue import MAX_AGE, DeliveryQueue, DeliveryResult, DeliveryTask
from tests.notify.fixtures_messages import PATIENCE
from tests.operator.simulated_cluster import FastTiming


class Seen:
    """Counts how tasks ended, and waits for it."""

    def __init__(self) -> None:
        self.results: list[tuple[str, DeliveryResult]] = []
        self._changed = threading.Condition()

    def ended(self, task: DeliveryTask, result: DeliveryResult) -> None:
        with self._changed:
            self.results.append((task.about, result))
            self._changed.notify_all()

    def until(self, count: int) -> list[tuple[str, DeliveryResult]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= count, PATIENCE)
            return list(self.results)


def task(
    about: str, run: Callable[[], object], queue: str = "a", *, urgent: bool = False
) -> DeliveryTask:
    """One thing to send."""

    def call() -> None:
        run()

    return DeliveryTask(queue, queue, about, urgent, call)


def fails(error: Exception, times: int = 1_000_000) -> Callable[[], None]:
    """Raises so many times, then works."""
    left = [times]

    def run() -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error

    return run


def test_a_lane_keeps_its_order() -> None:
    """What begins is told before what ends, however often the first fails."""
    seen, said = Seen(), []
    box = DeliveryQueue(FastTiming(), seen)
    first = fails(TransientError("busy"), 2)
    box.put(task("first", lambda: (first(), said.append(1))))
    box.put(task("second", lambda: said.append(2)))
    assert seen.until(2) == [
        ("first", DeliveryResult.DELIVERED),
        ("second", DeliveryResult.DELIVERED),
    ]
    assert said == [1, 2]
    box.close(5.0)


def test_a_receiver_that_hangs_delays_no_other() -> None:
    """Fifteen hang; the sixteenth is told at once."""
    seen, over = Seen(), threading.Event()
    box = DeliveryQueue(SystemTiming(), seen, workers=16)
    for index in range(15):
        box.put(task(f"hang {index}", lambda: over.wait(PATIENCE), f"queue {index}"))
    box.put(task("works", lambda: None, "another"))
    assert seen.until(1) == [("works", DeliveryResult.DELIVERED)]
    over.set()
    seen.until(16)
    box.close(5.0)


def test_as_many_at_once_are_sent_at_once() -> None:
    """Also when they come quicker than threads start: each of four waits for the other three."""
    seen, together = Seen(), threading.Barrier(4, timeout=PATIENCE)
    box = DeliveryQueue(SystemTiming(), seen, workers=4)
    box.put(task("warm", lambda: None))
    seen.until(1)
    for index in range(4):
        box.put(task("met", together.wait, f"queue {index}"))
    assert Counter(seen.until(5))["met", DeliveryResult.DELIVERED] == 4
    box.close(5.0)


def test_what_is_refused_does_not_hold_up_its_lane() -> None:
    """A wrong address stays wrong: one attempt."""
    seen, tried = Seen(), []
    box = DeliveryQueue(SystemTiming(), seen)
    wrong = fails(PermanentError("HTTP 404"))
    box.put(task("refused", lambda: (tried.append(1), wrong())))
    box.put(task("next", lambda: None))
    assert seen.until(2) == [
        ("refused", DeliveryResult.REFUSED),
        ("next", DeliveryResult.DELIVERED),
    ]
    assert tried == [1]
    box.close(5.0)


def test_a_failing_lane_rests_longer_and_longer_until_its_news_are_stale() -> None:
    """About a quarter of an hour, in few attempts."""
    seen, tried = Seen(), []
    timing = FastTiming()
    timing_began = timing.now()
    box = DeliveryQueue(Hasty(timing), seen)
    down = fails(TransientError("HTTP 500"))
    box.put(task("stale", lambda: (tried.append(timing.now()), down())))
    assert seen.until(1) == [("stale", DeliveryResult.EXPIRED)]
    assert 8 <= len(tried) <= 14
    assert timing.now() - timing_began < MAX_AGE
    box.close(5.0)


class Hasty:
    """A clock on which waiting lasts no time, and that moves on by what was waited for."""

    def __init__(self, timing: FastTiming) -> None:
        self._timing = timing
        self._skipped = 0.0

    def now(self) -> float:
        return self._timing.now() + self._skipped

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            condition.wait(PATIENCE)
        else:
            self._skipped += seconds


def stuffed(capacity: int) -> tuple[DeliveryQueue, Seen, threading.Event]:
    """A box whose only worker hangs in its first task."""
    seen, over, begun = Seen(), threading.Event(), threading.Event()
    box = DeliveryQueue(SystemTiming(), seen, workers=1, capacity=capacity)
    box.put(task("first", lambda: (begun.set(), over.wait(PATIENCE))))
    assert begun.wait(PATIENCE)
    return box, seen, over


def test_a_full_queue_drops_the_oldest_that_is_not_urgent() -> None:
    """Rollbacks stay as long as there is anything else; memory stays bounded."""
    box, seen, over = stuffed(3)
    for about in ("rollback 1", "step 1", "rollback 2", "step 2", "rollback 3"):
        box.put(task(about, lambda: None, urgent=about.startswith("rollback")))
    assert seen.results == [("step 1", DeliveryResult.DROPPED), ("step 2", DeliveryResult.DROPPED)]
    box.put(task("rollback 4", lambda: None, urgent=True))
    assert seen.results[-1] == ("rollback 1", DeliveryResult.DROPPED)
    assert len(box) == 3
    over.set()
    seen.until(7)
    box.close(5.0)


def test_who_says_most_is_dropped_first() -> None:
    """A release that tells everything does not push out another's one message."""
    box, seen, over = stuffed(3)
    box.put(task("quiet", lambda: None, "quiet"))
    for index in range(4):
        box.put(task(f"loud {index}", lambda: None, "loud"))
    assert seen.results == [("loud 0", DeliveryResult.DROPPED), ("loud 1", DeliveryResult.DROPPED)]
    over.set()
    seen.until(6)
    box.close(5.0)


def test_shutdown_sends_what_waits() -> None:
    """All of it, and no thread is left."""
    box, seen, over = stuffed(10)
    for index in range(3):
        box.put(task(f"{index}", lambda: None, f"queue {index}"))
    over.set()
    box.close(5.0)
    assert Counter(result for _, result in seen.results) == {DeliveryResult.DELIVERED: 4}
    box.put(task("late", lambda: None))
    assert seen.results[-1] == ("late", DeliveryResult.EXPIRED)


def test_shutdown_waits_for_nobody_who_hangs() -> None:
    """After its seconds it is over, and what was not sent is counted."""
    seen, over, begun = Seen(), threading.Event(), threading.Event()
    box = DeliveryQueue(FastTiming(), seen, workers=1)
    box.put(task("hangs", lambda: (begun.set(), over.wait(PATIENCE))))
    box.put(task("waits", lambda: None))
    assert begun.wait(PATIENCE)
    box.close(5.0)
    assert seen.results == [("waits", DeliveryResult.EXPIRED)]
    over.set()


def test_shutdown_tries_nothing_twice() -> None:
    """A receiver that fails is not waited for."""
    seen, resting = Seen(), threading.Event()
    box = DeliveryQueue(SystemTiming(), seen)
    down = fails(TransientError("HTTP 500"))
    box.put(task("fails", lambda: (resting.set(), down())))
    assert resting.wait(PATIENCE)
    box.close(5.0)
    assert seen.results == [("fails", DeliveryResult.EXPIRED)]


def test_a_bug_ends_one_task_and_shows_no_words_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown exception may hold an address."""
    caplog.set_level(logging.DEBUG, logger="canary")  # an operator's test may have raised it
    seen = Seen()
    box = DeliveryQueue(SystemTiming(), seen)
    box.put(task("bug", fails(KeyError("S3NT1N3L"))))
    box.put(task("next", lambda: None))
    assert seen.until(2) == [("bug", DeliveryResult.REFUSED), ("next", DeliveryResult.DELIVERED)]
    assert "KeyError" in caplog.text
    assert "S3NT1N3L" not in caplog.text
    box.close(5.0)
