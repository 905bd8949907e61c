"""The faults that the proxy can make."""

import json
import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from e2e.faults.proxy import ConnectionDroppedError, Fault, ProxiedRequest, ProxiedResponse

Answer = dict[str, Any]


@dataclass
class StopAtWrite(Fault):
    """Calls `stop` before a write is forwarded, and never forwards that write."""

    number: int
    """Which write, from 1."""
    stop: Callable[[], None]
    """Ends the operator, and takes this fault out of the proxy."""
    stopped_at: str = ""
    """The write that was not forwarded."""
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:
        """See Fault."""
        with self._lock:
            if self.stopped_at:
                raise ConnectionDroppedError
            if not request.is_write:
                return None
            self._count += 1
            if self._count < self.number:
                return None
            self.stopped_at = str(request)
            self.stop()
            raise ConnectionDroppedError


@dataclass
class LateWrite(Fault):
    """Holds the next write for some seconds, and drops every other request meanwhile."""

    seconds: float
    held: str = ""
    """The write that was late."""
    arrived: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:
        """See Fault."""
        with self._lock:
            first = request.is_write and not self.held
            if first:
                self.held = str(request)
        if first:
            threading.Event().wait(self.seconds)
            self.arrived.set()
        elif self.held and not self.arrived.is_set():
            raise ConnectionDroppedError
        return None


@dataclass
class OnWrite(Fault):
    """Calls `act` on every n-th write, which is forwarded."""

    every: int
    act: Callable[[], None]
    count: int = 0

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:
        """See Fault."""
        if request.is_write:
            self.count += 1
            if self.count % self.every == 0:
                self.act()
        return None


@dataclass
class Refuse(Fault):
    """Refuses a share of the requests with a status, such as 429."""

    status: int
    share: float = 1.0
    methods: Collection[str] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    refused: int = 0

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:
        """See Fault."""
        if request.method not in self.methods or random.random() >= self.share:  # noqa: S311 - no secret
            return None
        self.refused += 1
        body = {"kind": "Status", "code": self.status, "message": "refused by the fault proxy"}
        headers = (("Content-Type", "application/json"), ("Retry-After", "1"))
        return ProxiedResponse(self.status, json.dumps(body).encode(), headers)


@dataclass
class GoneWatches(Fault):
    """Every watch is answered with 410 Gone, and running ones end after a second."""

    refused: int = 0

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:
        """See Fault."""
        if not request.is_watch:
            return None
        self.refused += 1
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        if self.refused % 2:
            return ProxiedResponse(410, json.dumps(status).encode())
        event = {"type": "ERROR", "object": status}
        return ProxiedResponse(200, json.dumps(event).encode() + b"\n")


class ShortWatches(Fault):
    """Every watch is closed after a second."""

    def watch_seconds(self) -> float | None:
        """See Fault."""
        return 1.0


@dataclass
class Slow(Fault):
    """Every request waits."""

    seconds: float

    def before(self, request: ProxiedRequest) -> ProxiedResponse | None:  # noqa: ARG002 - all alike
        """See Fault."""
        threading.Event().wait(self.seconds)
        return None


@dataclass
class BrokenBody(Fault):
    """Every response has this status and a body made of the real one."""

    change: Callable[[bytes], bytes]
    status: int = 200
    content_type: str = "application/json"

    def after(self, request: ProxiedRequest, response: ProxiedResponse) -> ProxiedResponse:  # noqa: ARG002 - all alike
        """See Fault."""
        headers = (("Content-Type", self.content_type),)
        return ProxiedResponse(self.status, self.change(response.body), headers)


@dataclass
class ChangedSamples(Fault):
    """Every series of a response of Prometheus goes through a function; None leaves it out."""

    change: Callable[[list[list[Any]], int], list[list[Any]] | None]
    """From the samples (`[time, "value"]`) of the n-th series of the answer."""

    def after(self, request: ProxiedRequest, response: ProxiedResponse) -> ProxiedResponse:  # noqa: ARG002 - all alike
        """See Fault."""
        try:
            answer: Answer = json.loads(response.body)
            results = answer["data"]["result"]
        except (ValueError, KeyError, TypeError):
            return response
        kept = [one for number, row in enumerate(results) if (one := self._row(row, number))]
        answer["data"]["result"] = kept
        return ProxiedResponse(response.status, json.dumps(answer).encode())

    def _row(self, row: Answer, number: int) -> Answer | None:
        if "values" in row:
            values = self.change(row["values"], number)
            return None if values is None else {**row, "values": values}
        values = self.change([row["value"]], number)
        return None if not values else {**row, "value": values[0]}


def not_numbers(samples: list[list[Any]], _number: int) -> list[list[Any]]:
    """Every value is NaN."""
    return [[at, "NaN"] for at, _ in samples]


def every_second_series(samples: list[list[Any]], number: int) -> list[list[Any]] | None:
    """Half of the series are missing."""
    return samples if number % 2 else None


def backwards(samples: list[list[Any]], _number: int) -> list[list[Any]]:
    """Each answer's times run backwards: the newest value has the oldest time."""
    times = [at for at, _ in samples]
    return [[at, value] for at, (_, value) in zip(times, reversed(samples), strict=True)]


def ten_minutes_ago(samples: list[list[Any]], _number: int) -> list[list[Any]]:
    """Times as of a server whose clock was put back."""
    return [[at - 600.0, value] for at, value in samples]


FAULTS_OF_PROMETHEUS: dict[str, Callable[[], Fault]] = {
    "answers after 10 s": lambda: Slow(10.0),
    "answers 500": lambda: BrokenBody(lambda _: b'{"status":"error"}', 500),
    "answers HTML": lambda: BrokenBody(lambda _: b"<html>sign in</html>", 200, "text/html"),
    "answers half a document": lambda: BrokenBody(lambda body: body[: len(body) // 2]),
    "answers NaN": lambda: ChangedSamples(not_numbers),
    "leaves every second series out": lambda: ChangedSamples(every_second_series),
    "answers with values in reverse order": lambda: ChangedSamples(backwards),
    "answers with times of ten minutes ago": lambda: ChangedSamples(ten_minutes_ago),
}
