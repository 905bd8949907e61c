"""The work queue: each key once, at its earliest time, on one worker."""

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.kube.queue import LONGEST_DELAY, WorkQueue
from canary.kube.timing import SystemTiming
from tests.kube.manual_timing import ManualTiming


@dataclass
class Told:
    """What the metrics would have been told."""

    events: list[str] = field(default_factory=list)

    def added(self) -> None:
        self.events.append("added")

    def taken(self, waited: float) -> None:
        self.events.append(f"taken after {waited:g}")

    def finished(self, worked: float) -> None:
        self.events.append(f"finished in {worked:g}")

    def retried(self) -> None:
        self.events.append("retried")


@pytest.fixture
def timing() -> ManualTiming:
    """Time that waits for nobody."""
    return ManualTiming()


@pytest.fixture
def queue(timing: ManualTiming) -> WorkQueue[str]:
    """An empty queue."""
    return WorkQueue(timing)


def test_once(queue: WorkQueue[str]) -> None:
    """A key that is added often is worked on once, in the order of the first."""
    for key in ("a", "b", "a", "b", "a"):
        queue.add(key)
    assert queue.depth == 2
    assert [queue.get(), queue.get()] == ["a", "b"]
    assert queue.depth == 0


def test_never_on_two_workers(queue: WorkQueue[str], timing: ManualTiming) -> None:
    """A key that comes again while it is worked on waits for the worker."""
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    timing.then.append(lambda: queue.done("a"))
    assert queue.get() == "a"
    assert not timing.then, "it was handed out while the first worker had it"


def test_others_go_on(queue: WorkQueue[str]) -> None:
    """A key that is worked on does not hold up the others."""
    queue.add("a")
    queue.get()
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"


@pytest.mark.parametrize(
    ("delays", "due"),
    [
        pytest.param([5.0], 5.0, id="later"),
        pytest.param([5.0, 2.0], 2.0, id="an earlier time wins"),
        pytest.param([2.0, 5.0], 2.0, id="a later time does not put it off"),
        pytest.param([5.0, 0.0], 0.0, id="now wins"),
        pytest.param([-3.0], 0.0, id="the past is now"),
    ],
)
def test_after(
    queue: WorkQueue[str], timing: ManualTiming, delays: list[float], due: float
) -> None:
    """A key comes at the earliest time that was asked for, and once."""
    for seconds in delays:
        queue.add_after("a", seconds)
    assert queue.get() == "a"
    assert timing.now() == due
    queue.done("a")
    timing.then.append(queue.close)
    assert queue.get() is None
    assert timing.now() == due, "the later time was still waited for"


def test_planned_while_worked_on(queue: WorkQueue[str], timing: ManualTiming) -> None:
    """What the worker itself plans is kept, and counts from when it was planned."""
    queue.add("a")
    queue.get()
    queue.add_after("a", 10.0)
    timing.time = 4.0
    queue.done("a")
    assert queue.get() == "a"
    assert timing.now() == 10.0


def test_retry(queue: WorkQueue[str], timing: ManualTiming) -> None:
    """Pauses double with each failure of this key, up to a limit; success starts anew."""
    pauses = [queue.retry("a") for _ in range(20)]
    assert 0.1 < pauses[0] <= 0.2
    assert all(0.75 * 0.2 * 2**n <= pauses[n] <= 0.2 * 2**n for n in range(8))
    assert pauses[-1] <= LONGEST_DELAY
    assert queue.retry("b") <= 0.2
    assert queue.retry("b", at_least=30.0) == 30.0
    queue.drop("b")
    queue.forget("a")
    assert queue.retry("a") <= 0.2
    assert queue.get() == "a"
    assert timing.now() <= 0.2


def test_dropped(queue: WorkQueue[str], timing: ManualTiming) -> None:
    """A key that is dropped does not come any more."""
    queue.add_after("a", 5.0)
    queue.drop("a")
    timing.then.append(lambda: queue.add("b"))
    assert queue.get() == "b"


def test_close(queue: WorkQueue[str], timing: ManualTiming) -> None:
    """Once closed nothing is handed out, and the workers are waited for."""
    queue.add("a")
    queue.get()
    queue.add("b")
    queue.close()
    queue.add("c")
    assert queue.get() is None
    assert not queue.wait_until_drained(3.0)
    assert timing.now() == 3.0
    queue.done("a")
    assert queue.wait_until_drained(3.0)


def test_observer(timing: ManualTiming) -> None:
    """Metrics are told how long keys wait and workers work."""
    told = Told()
    queue: WorkQueue[str] = WorkQueue(timing, told)
    queue.add("a")
    timing.time = 2.0
    queue.get()
    timing.time = 5.0
    assert queue.working == (3.0,)
    queue.done("a")
    queue.retry("a")
    assert told.events == ["added", "taken after 2", "finished in 3", "retried", "added"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "get", "done"]), st.sampled_from("abc"), st.integers(0, 5)),
    max_size=60,
)


@given(STEPS)
def test_law(steps: list[tuple[str, str, int]]) -> None:
    """Whatever the order: nothing due is lost, nothing runs twice at once, nothing comes early."""
    timing = ManualTiming()
    queue: WorkQueue[str] = WorkQueue(timing)
    due: dict[str, float] = {}
    running: set[str] = set()

    def take() -> None:
        key = queue.get()
        assert key is not None
        assert key not in running
        assert due.pop(key) <= timing.now()
        running.add(key)

    for step, key, seconds in steps:
        match step:
            case "add":
                queue.add_after(key, seconds)
                due[key] = min(due.get(key, 99.0), timing.now() + seconds)
            case "get" if due.keys() - running:
                take()
            case "done" if key in running:
                queue.done(key)
                running.discard(key)
    for key in sorted(running):
        queue.done(key)
    running.clear()
    while due:
        take()


def test_idle_workers_take_keys_that_come_one_by_one_all_at_once_and_later() -> None:
    """Only one worker waits for the time, and no key waits for a worker that sleeps."""
    queue: WorkQueue[str] = WorkQueue()
    taken: list[str] = []
    all_taken = threading.Event()

    def work() -> None:
        while (key := queue.get()) is not None:
            taken.append(key)
            if len(taken) == 150:
                all_taken.set()
            queue.done(key)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(50):
        queue.add_after(f"later-{number}", 0.001 * (50 - number))
        queue.add(f"now-{number}")
    for number in range(50):
        queue.add(f"again-{number}")
    assert all_taken.wait(30)
    queue.close()
    for worker in workers:
        worker.join(30)
    assert len(set(taken)) == 150


def test_a_key_that_comes_again_and_again_wakes_no_other_worker() -> None:
    """Its own worker waits for it: one wait for each time, whatever the number of workers."""

    class Counting(SystemTiming):
        waits = 0

        def wait(self, condition: threading.Condition, seconds: float | None) -> None:
            self.waits += 1  # the queue's lock is held
            super().wait(condition, seconds)

    timing, times, over = Counting(), 50, threading.Event()
    queue: WorkQueue[str] = WorkQueue(timing)
    done: list[str] = []

    def work() -> None:
        while (key := queue.get()) is not None:
            done.append(threading.current_thread().name)
            queue.add_after(key, 0.001)
            queue.done(key)
            if len(done) == times:
                over.set()

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    queue.add("a")
    assert over.wait(20)
    queue.close()
    for worker in workers:
        worker.join(20)
    assert timing.waits <= times + 2 * len(workers)
