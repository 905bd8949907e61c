"""`canary leaktest`: alternates load and drain until a leak is proved or ruled out."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event

from canary.core.series import NoData
from canary.errors import CanaryError, TransientError
from canary.leaktest.evaluation import (
    MIN_READINGS,
    Drain,
    LeakFinding,
    LeakKind,
    LeakTestPolicy,
    Reading,
    Round,
    evaluate_rounds,
    plan_next_load,
    summarize_drain,
)
from canary.leaktest.load_plan import plan_cycle
from canary.leaktest.result import MAX_FAILED_RATIO, LeakTestObservations, build_result
from canary.leaktest.types import (
    LeakTestProgress,
    LeakTestTiming,
    ShowLeakProgress,
    SubjectUnderTest,
)
from canary.loadtest.generator import RequestTally
from canary.loadtest.generator.client import check_connection
from canary.loadtest.generator.run import LoadProgress, run_load
from canary.loadtest.thresholds import format_statuses
from canary.results.gate_result import GateResult

_BROKEN_RATIO = 0.5
"""Share of failed requests above which the test checks whether the candidate recovers."""
_PROBE_REQUESTS = 10
_CLOCK_SKEW = 2.0
"""Seconds by which the clocks of two machines may differ."""


class _DiedError(CanaryError):
    """The candidate no longer serves."""


class _UnreadableError(CanaryError):
    """The gauges cannot be read."""


def run_leak_test(  # noqa: PLR0913 - two versions, three kinds of limits, two ways out
    canary: SubjectUnderTest,
    stable: SubjectUnderTest | None,
    policy: LeakTestPolicy,
    pace: LeakTestTiming,
    *,
    now: float,
    stop: Event,
    show: ShowLeakProgress,
) -> GateResult:
    """Test until the result is conclusive, or until `pace.most` is over.

    `now` is the time in seconds since the epoch: a process that started later was restarted.
    `stop`, set by the caller, interrupts the test.

    Raises:
        TransientError: a target accepted no connection at the start, or a load process died.
        UsageError: this machine does not allow that many requests in flight.
    """
    test = _LeakTest(canary, stable, policy, pace, now, stop, show)
    seen = LeakTestObservations(canary.plan.url, policy, pace.at_rate or canary.plan.schedule.peak)
    try:
        test.run()
    except _DiedError as why:
        seen = replace(seen, died=str(why))
    except _UnreadableError as why:
        seen = replace(seen, unreadable=str(why))
    return build_result(
        replace(
            seen,
            rounds=tuple(test.rounds),
            finding=test.finding,
            tally=test.tally,
            seconds=test.elapsed,
            rest=test.rest,
            busiest=test.busiest,
            interrupted=stop.is_set(),
        )
    )


@dataclass
class _LeakTest:
    canary: SubjectUnderTest
    stable: SubjectUnderTest | None
    policy: LeakTestPolicy
    pace: LeakTestTiming
    now: float
    stop: Event
    show: ShowLeakProgress
    rounds: list[Round] = field(default_factory=list)
    finding: LeakFinding | None = None
    tally: RequestTally = field(default_factory=RequestTally)
    rest: float = 0.0
    busiest: float | None = None
    _sent: list[int] = field(default_factory=list)
    _over: list[int] = field(default_factory=lambda: [0])
    _number: int = 0
    _begin: float = field(default_factory=time.monotonic)
    _drain: float = 0.0
    _served: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begin

    @property
    def rate(self) -> float:
        """Current rate in requests per second."""
        return self.canary.plan.schedule.peak

    def run(self) -> None:
        """Run the test: warm-up, drains without load, then alternating load and drain."""
        for subject in self._list_subjects():
            check_connection(subject.plan)
        self._send_load(max(1, round(self.rate * self.pace.warm_up)), "warm-up")
        self._drain = self.pace.drain
        for _ in range(self.policy.idle):
            if not self.stop.is_set():
                self._end_round("at rest")
        while not self.stop.is_set() and self._should_continue():
            self._run_cycle()

    def _should_continue(self) -> bool:
        if self.finding is not None and self.finding.kind is not LeakKind.UNDECIDED:
            return False
        return self.elapsed + 1 + self._drain < self.pace.most

    def _run_cycle(self) -> None:
        left = self.pace.most - self.elapsed - self._drain
        wanted = plan_next_load(self.rounds, self._sent, self.policy, self.rate)
        count = max(1, min(wanted, round(left * self.rate)))
        self._sent.append(count)
        tally = self._send_load(count, "load")[0]
        self.tally.merge(tally)
        self._over.append(self._over[-1] + tally.over)
        if not self.stop.is_set():
            self._end_round("drain")
        self._served = self._served or tally.error_ratio <= MAX_FAILED_RATIO
        if (
            self._should_continue()
            and self._served
            and tally.error_ratio > _BROKEN_RATIO
            and not self.stop.is_set()
        ):
            self._check_recovery()

    def _check_recovery(self) -> None:
        """Raise _DiedError if most requests fail even after a rest and at a low rate."""
        self._collect_readings(
            self.pace.patience, "recovering", [[] for _ in self._list_subjects()]
        )
        again = self._send_load(
            _PROBE_REQUESTS, "recovering", rate=min(self.rate, _PROBE_REQUESTS)
        )[0]
        if again.over and again.error_ratio > _BROKEN_RATIO and not self.stop.is_set():
            raise _DiedError(
                f"the candidate does not recover: {self.pace.patience:.0f} s after the load, "
                f"{again.failed} of {again.over} requests fail ({format_statuses(again.statuses)})"
            )

    def _end_round(self, phase: str) -> None:
        """Drain; if the finding is bad, extend the drain and evaluate all of it."""
        readings: list[list[Reading | NoData]] = [[] for _ in self._list_subjects()]
        self._collect_readings(self._drain, phase, readings)
        self._record_round(readings, again=False)
        if self.finding is not None and self.finding.kind.fails and not self.stop.is_set():
            self._collect_readings(self.pace.patience, "confirming", readings)
            self._record_round(readings, again=True)
            self._drain = min(2 * self._drain, self.pace.patience)

    def _collect_readings(
        self, seconds: float, phase: str, readings: list[list[Reading | NoData]]
    ) -> None:
        end = time.monotonic() + seconds
        while True:
            for subject, seen in zip(self._list_subjects(), readings, strict=True):
                seen.append(subject.source.read())
            self._report_progress(phase, readings[0][-1])
            left = end - time.monotonic()
            enough = left <= 0 and all(len(seen) >= MIN_READINGS for seen in readings)
            if enough or self.stop.wait(min(self.pace.reading_interval, max(left, 0.0))):
                break
        self.rest = seconds

    def _record_round(self, readings: list[list[Reading | NoData]], *, again: bool) -> None:
        if self.stop.is_set():
            return
        drains = [
            self._evaluate_drain(subject, seen)
            for subject, seen in zip(self._list_subjects(), readings, strict=True)
        ]
        if again:
            self.rounds.pop()
        self.rounds.append(Round(*drains))
        if len(self.rounds) > self.policy.idle:
            self.finding = evaluate_rounds(self.rounds, self.policy)
        self._report_progress("", readings[0][-1])

    def _evaluate_drain(self, subject: SubjectUnderTest, readings: list[Reading | NoData]) -> Drain:
        drain = summarize_drain(
            readings, self._over[max(0, len(self._over) - 1 - subject.source.lag)]
        )
        if subject is self.canary:
            self._check_alive(readings)
        if isinstance(drain, NoData):
            raise _UnreadableError(drain.why)
        return drain

    def _check_alive(self, readings: list[Reading | NoData]) -> None:
        """Raise _DiedError if the candidate is unreachable or was restarted."""
        if isinstance(readings[-1], NoData):
            try:
                check_connection(self.canary.plan)
            except TransientError as error:
                raise _DiedError(f"the candidate died: {error}") from error
        started = [one.started for one in readings if isinstance(one, Reading)]
        for name, since in started[-1].items() if started else ():
            if since > self.now + _CLOCK_SKEW:
                raise _DiedError(f"the candidate died: {name} restarted during the test")
            if any(one.get(name, since) != since for one in started):
                raise _UnreadableError(
                    f"several processes answer at {name}: set --metrics-url once for each process"
                )

    def _send_load(self, count: int, phase: str, rate: float | None = None) -> list[RequestTally]:
        """Load both versions at once; the candidate's tally is first. `rate` None: `self.rate`."""
        for subject in self._list_subjects():
            subject.source.begin_load()
        first, self._number = self._number, self._number + count
        with ThreadPoolExecutor(2) as threads:
            running = [
                threads.submit(
                    run_load,
                    plan_cycle(subject.plan, rate or self.rate, count, first),
                    stop=self.stop,
                    each_second=self._progress_callback(phase) if subject is self.canary else None,
                )
                for subject in self._list_subjects()
            ]
        try:
            return [one.result().measured for one in running]
        except TransientError as error:
            self._raise_for_candidate(error)
            raise

    def _raise_for_candidate(self, error: TransientError) -> None:
        """Raise _DiedError if the candidate is unreachable after it was reachable."""
        if not self.rounds:
            return
        try:
            check_connection(self.canary.plan)
        except TransientError as gone:
            raise _DiedError(f"the candidate died: {gone}") from error
        raise _UnreadableError(str(error)) from error

    def _progress_callback(self, phase: str) -> Callable[[LoadProgress], None]:
        def told(progress: LoadProgress) -> None:
            reading = self.canary.source.read()
            if isinstance(reading, Reading):
                self.busiest = max(self.busiest or 0.0, sum(reading.in_use.values()))
            self._report_progress(phase, reading, progress.so_far.measured.over)

        return told

    def _report_progress(self, phase: str, reading: Reading | NoData, more: int = 0) -> None:
        in_use = sum(reading.in_use.values()) if isinstance(reading, Reading) else None
        self.show(
            LeakTestProgress(
                phase,
                self.elapsed,
                self.pace.most,
                self._over[-1] + more,
                tuple(self.rounds),
                self.finding,
                in_use,
            )
        )

    def _list_subjects(self) -> Iterator[SubjectUnderTest]:
        yield self.canary
        if self.stable is not None:
            yield self.stable
