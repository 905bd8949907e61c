"""Runs a load plan: starts the workers together and adds up their results."""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from threading import Event

from canary.errors import TransientError, UsageError
from canary.loadtest.generator.client import check_connection
from canary.loadtest.generator.engine import TallyByPart, WorkerSecond
from canary.loadtest.generator.file_limit import count_files_needed, raise_file_limit
from canary.loadtest.generator.plan import LoadPlan
from canary.loadtest.generator.tally import RequestTally, sum_tallies

_READY_SECONDS = 30.0
_LISTEN_SECONDS = 0.1
_GRACE_SECONDS = 5.0


@dataclass(slots=True)
class LoadResult:
    """The result of a load, also while it is running."""

    plan: LoadPlan
    parts: TallyByPart = field(default_factory=lambda: defaultdict(RequestTally))
    """Tallies by stage (index into the schedule) and request name."""
    seconds: float = 0.0
    """Elapsed time, including the wait for the last answers."""
    cpu: float = 0.0
    """Share (0–1) of one core that the busiest worker used, on average."""
    stopped: bool = False
    """The load ended before its schedule."""

    def stage(self, index: int) -> RequestTally:
        """Return the tally of the requests that were due in one stage."""
        return sum_tallies(*(tally for (stage, _), tally in self.parts.items() if stage == index))

    def request(self, name: str) -> RequestTally:
        """Return the tally of the measured requests of one kind."""
        return sum_tallies(
            *(
                tally
                for (stage, kind), tally in self.parts.items()
                if kind == name and self._is_measured(stage)
            )
        )

    @property
    def measured(self) -> RequestTally:
        """All requests except those of the warm-up."""
        return sum_tallies(
            *(tally for (stage, _), tally in self.parts.items() if self._is_measured(stage))
        )

    def _is_measured(self, stage: int) -> bool:
        return self.plan.schedule.stages[stage].measured


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """One second of all workers, and the result so far."""

    index: int
    """Seconds since the start, from 0."""
    rate: float
    """Requests per second that were planned in the middle of this second."""
    second: RequestTally
    so_far: LoadResult


def run_load(
    plan: LoadPlan,
    *,
    stop: Event | None = None,
    each_second: Callable[[LoadProgress], None] | None = None,
) -> LoadResult:
    """Run a plan, and block until its last answer or timeout.

    `stop`, once set, ends the load within a second; outstanding answers are not counted.
    `each_second` is called in this thread, once per second and in order, also for seconds without
    requests; it may set `stop`. It cannot delay requests, because other processes send them.

    Raises:
        TransientError: the target accepts no connection (tried once in advance), or a worker died.
        UsageError: this machine does not allow that many open files.
    """
    _check_files(plan)
    check_connection(plan)
    result = LoadResult(plan)
    with _start_workers(plan) as workers:
        begin = time.monotonic() + 0.05
        for worker in workers:
            worker.pipe.send(begin)
        for seconds in _iterate_seconds(workers, stop or Event()):
            progress = _add_second(result, seconds, time.monotonic() - begin)
            if each_second:
                each_second(progress)
        result.seconds = time.monotonic() - begin
        result.cpu = max(worker.cpu for worker in workers) / max(result.seconds, 1e-9)
    result.stopped = bool(stop and stop.is_set())
    return result


def _check_files(plan: LoadPlan) -> None:
    needed = count_files_needed(plan)
    if (allowed := raise_file_limit(needed)) < needed:
        raise UsageError(
            f"{plan.share(0)} requests in flight in one process need {needed} open files, and "
            f"{allowed} are allowed: reduce --max-in-flight, increase --workers, or run "
            f"ulimit -n {needed}"
        )


def _add_second(
    result: LoadResult, seconds: Sequence[WorkerSecond], elapsed: float
) -> LoadProgress:
    tally = RequestTally()
    for second in seconds:
        for key, part in second.parts.items():
            result.parts[key].merge(part)
            tally.merge(part)
    index = seconds[0].index
    result.seconds = elapsed
    return LoadProgress(index, result.plan.schedule.rate(index + 0.5), tally, result)


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Connection
    running: bool = True
    seconds: dict[int, WorkerSecond] = field(default_factory=dict)
    cpu: float = 0.0

    def receive(self) -> None:
        """Receive its next message."""
        try:
            message: WorkerSecond | None = self.pipe.recv()
        except (EOFError, OSError) as error:
            code = self.process.wait(_GRACE_SECONDS)
            raise TransientError(f"a worker process of the load died (exit code {code})") from error
        if message is None:
            self.running = False
        else:
            self.seconds[message.index] = message
            self.cpu += message.cpu


@contextmanager
def _start_workers(plan: LoadPlan) -> Iterator[list[_Worker]]:
    workers: list[_Worker] = []
    try:
        while len(workers) < plan.workers:
            workers.append(_start_worker())
        for number, worker in enumerate(workers):
            worker.pipe.send((plan, number))
        for worker in workers:
            if not worker.pipe.poll(_READY_SECONDS):
                raise TransientError(
                    f"a worker process of the load was not ready within {_READY_SECONDS:g} s"
                )
            worker.receive()
            worker.running = True
        yield workers
    finally:
        for worker in workers:
            _end_worker(worker)


def _start_worker() -> _Worker:
    ours, theirs = Pipe()
    fd = theirs.fileno()
    command = [sys.executable, "-m", "canary.loadtest.generator.worker", str(fd)]
    process = subprocess.Popen(  # noqa: S603 - our own
        command,
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        process_group=0,  # only this process handles Ctrl-C; a worker ends when its pipe closes
    )
    theirs.close()
    return _Worker(process, ours)


def _end_worker(worker: _Worker) -> None:
    worker.pipe.close()
    try:
        worker.process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()


def _iterate_seconds(workers: Sequence[_Worker], stop: Event) -> Iterator[list[WorkerSecond]]:
    """Yield the results of all workers second by second, as soon as each second is complete."""
    index = 0
    stopping = False
    while True:
        while done := _take_complete(workers, index):
            yield done
            index += 1
        if not any(worker.running for worker in workers):
            return
        if stop.is_set() and not stopping:
            stopping = True
            _stop_workers(workers)
        _receive_messages(workers)


def _take_complete(workers: Sequence[_Worker], index: int) -> list[WorkerSecond]:
    if any(worker.running and index not in worker.seconds for worker in workers):
        return []
    return [worker.seconds.pop(index) for worker in workers if index in worker.seconds]


def _receive_messages(workers: Sequence[_Worker]) -> None:
    by_pipe: dict[object, _Worker] = {worker.pipe: worker for worker in workers if worker.running}
    for pipe in wait([worker.pipe for worker in workers if worker.running], _LISTEN_SECONDS):
        by_pipe[pipe].receive()


def _stop_workers(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.running:
            with suppress(OSError):
                worker.pipe.send(None)
