"""Sends one worker's load in one thread: each request when it is due.

libcurl does HTTP and reports which sockets it waits for. The loop sleeps until one of them is
ready, the next request is due, or the second ends, whichever comes first.
"""

import select
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pycurl

from canary.loadtest.generator.client import (
    FAILURE_NAMES,
    create_handle,
    create_multi,
    prepare_request,
)
from canary.loadtest.generator.mix import RenderedRequest, RequestTemplate
from canary.loadtest.generator.plan import LoadPlan
from canary.loadtest.generator.schedule import ScheduledRequest
from canary.loadtest.generator.tally import LATE_SECONDS, RequestTally

BATCH_SIZE = 16
"""Requests that are sent before answers are read, even if more are due."""

TallyByPart = dict[tuple[int, str], RequestTally]
"""Tallies by stage (index into the schedule) and request name."""


@dataclass(frozen=True, slots=True)
class WorkerSecond:
    """Results of one worker in one second."""

    index: int
    """Seconds since the start, from 0."""
    parts: TallyByPart
    cpu: float
    """Share (0–1) of one core that the worker used."""


@dataclass(frozen=True, slots=True)
class RequestInFlight:
    """A request that was sent and has no answer yet."""

    kind: RequestTemplate
    stage: int
    due: float


@dataclass
class SocketWatcher:
    """The sockets and the timer that libcurl waits for."""

    epoll: select.epoll = field(default_factory=select.epoll)
    known: set[int] = field(default_factory=set)
    alarm: float = float("inf")
    """When libcurl must be called, on the monotonic clock."""

    def timer(self, milliseconds: int) -> None:
        """Set the timer (callback of libcurl); −1 removes it."""
        later = time.monotonic() + milliseconds / 1000
        self.alarm = later if milliseconds >= 0 else float("inf")

    def socket(self, what: int, fd: int, *_: object) -> None:
        """Watch a socket, change its events or forget it (callback of libcurl)."""
        if what == pycurl.POLL_REMOVE:
            if fd in self.known:
                self.known.discard(fd)
                self.epoll.unregister(fd)
            return
        wanted = select.EPOLLIN if what & pycurl.POLL_IN else 0
        wanted |= select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        if fd in self.known:
            self.epoll.modify(fd, wanted)
        else:
            self.known.add(fd)
            self.epoll.register(fd, wanted)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Wait at most `seconds`, and return the sockets with events.

        epoll's timeout has a resolution of 1 ms, which is too coarse to send on time; select on the
        epoll descriptor is finer.
        """
        if seconds > 0:
            select.select([self.epoll], [], [], seconds)
        return self.epoll.poll(0)


class LoadEngine:
    """Sends one worker's share of a plan."""

    def __init__(self, plan: LoadPlan, worker: int, tell: Callable[[WorkerSecond], None]) -> None:
        self._plan = plan
        self._room = plan.share(worker)
        self._arrivals = plan.schedule.arrivals(worker, plan.workers, plan.seed)
        self._draw = plan.mix.draw(f"requests {plan.seed} {worker}")
        self._tell = tell
        self._sockets = SocketWatcher()
        self._multi = create_multi(self._room, self._sockets.timer, self._sockets.socket)
        self._idle: dict[str, list[pycurl.Curl]] = defaultdict(list)
        self._addressed: dict[pycurl.Curl, RenderedRequest] = {}
        self._flying: dict[pycurl.Curl, RequestInFlight] = {}
        self._parts: TallyByPart = defaultdict(RequestTally)
        self._second = 0
        self._cpu = time.process_time()

    def run(self, start: float, leave: int) -> None:
        """Send from `start` (monotonic clock) on, and wait for the last answer.

        The run ends early, without the outstanding answers, when the file descriptor `leave`
        becomes readable.
        """
        self._sockets.epoll.register(leave, select.EPOLLIN)
        upcoming = next(self._arrivals, None)
        while upcoming or self._flying:
            upcoming = self._send_due(upcoming, start)
            ready = self._sockets.wait(self._time_to_next_event(upcoming, start))
            if any(fd == leave for fd, _ in ready):
                break
            self._handle_events(ready)
            self._collect_answers()
            while time.monotonic() >= start + self._second + 1:
                self._end_second()
        self._end_second()

    def _time_to_next_event(self, upcoming: ScheduledRequest | None, start: float) -> float:
        until = min(self._sockets.alarm, start + self._second + 1)
        if upcoming:
            until = min(until, start + upcoming.at)
        return until - time.monotonic()

    def _send_due(self, upcoming: ScheduledRequest | None, start: float) -> ScheduledRequest | None:
        for _ in range(BATCH_SIZE):
            now = time.monotonic()
            if upcoming is None or start + upcoming.at > now:
                break
            self._start_request(upcoming, start + upcoming.at, now)
            upcoming = next(self._arrivals, None)
        return upcoming

    def _start_request(self, arrival: ScheduledRequest, due: float, now: float) -> None:
        request = self._draw(arrival.number)
        tally = self._parts[arrival.stage, request.kind.name]
        tally.due += 1
        if len(self._flying) >= self._room:
            tally.unsent += 1
            return
        tally.late += now - due > LATE_SECONDS
        tally.lag.add(now - due)
        self._send_request(request, RequestInFlight(request.kind, arrival.stage, due))

    def _send_request(self, request: RenderedRequest, flight: RequestInFlight) -> None:
        idle = self._idle[request.kind.name]
        curl = idle.pop() if idle else create_handle(self._plan)
        if self._addressed.get(curl) is not request:
            prepare_request(curl, self._plan.base, request)
            self._addressed[curl] = request
        self._flying[curl] = flight
        self._multi.add_handle(curl)

    def _handle_events(self, ready: list[tuple[int, int]]) -> None:
        for fd, events in ready:
            bits = pycurl.CSELECT_IN if events & select.EPOLLIN else 0
            bits |= pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
            bits |= pycurl.CSELECT_ERR if events & (select.EPOLLERR | select.EPOLLHUP) else 0
            self._multi.socket_action(fd, bits)
        if self._sockets.alarm <= time.monotonic():
            self._sockets.alarm = float("inf")
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _collect_answers(self) -> None:
        now = time.monotonic()
        for curl, status in self._finished_requests():
            flight = self._flying.pop(curl)
            self._multi.remove_handle(curl)
            self._idle[flight.kind.name].append(curl)
            tally = self._parts[flight.stage, flight.kind.name]
            tally.statuses[status] += 1
            answered = status.isdigit()
            if answered and flight.kind.ok(int(status)):
                tally.ok += 1
            else:
                tally.failed += 1
            if answered or status == "timeout":
                tally.latency.add(now - flight.due)

    def _finished_requests(self) -> Iterator[tuple[pycurl.Curl, str]]:
        more = 1
        while more:
            more, answered, broken = self._multi.info_read()
            for curl in answered:
                yield curl, str(curl.getinfo(pycurl.RESPONSE_CODE))
            for curl, code, _ in broken:
                yield curl, FAILURE_NAMES.get(code, "broken")

    def _end_second(self) -> None:
        cpu = time.process_time()
        self._tell(WorkerSecond(self._second, dict(self._parts), cpu - self._cpu))
        self._parts = defaultdict(RequestTally)
        self._second, self._cpu = self._second + 1, cpu
