"""Counts the results of requests, per second and in total, as JSON. Pure."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from canary.demo.load.schedule import RequestKind
from canary.loadtest.generator.tally import LatencyHistogram

NOBODY = "none"
"""The version and instance of a response that no instance sent, such as the router's own."""


@dataclass(frozen=True, slots=True)
class RequestResult:
    """The result of one request."""

    kind: RequestKind
    user: int
    status: str
    """The HTTP status, or `timeout`, `refused`, `reset` …; `overload`: not sent."""
    seconds: float
    """Latency from the time at which the request was due, not from when it was sent."""
    version: str = NOBODY
    instance: str = NOBODY

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status.startswith("2")


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One line of output: a second (`kind` "second") or the totals (`kind` "summary").

    `logins_ok` and `logins_failed` count logins by the version that answered ("none": nobody).
    `ok_by_instance` and `failed_by_instance` count all requests. Latencies are milliseconds.
    """

    kind: str
    time: float
    """Seconds since the start of the load."""
    sent: int
    ok: int
    failed: int
    statuses: dict[str, int]
    logins_ok: dict[str, int]
    logins_failed: dict[str, int]
    ok_by_instance: dict[str, int]
    failed_by_instance: dict[str, int]
    users: int
    """Number of users."""
    users_seen: int
    """Users who tried to log in since the start."""
    users_hit: int
    """Users with at least one failed login since the start."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Parse a line of `to_json`; unknown keys are ignored."""
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in json.loads(line).items() if key in known})


class ResultCounter:
    """Counts the results of one period."""

    def __init__(self) -> None:
        self.sent = 0
        self._latencies = LatencyHistogram()
        self._statuses: Counter[str] = Counter()
        self._logins: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._instances: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}

    def add(self, outcome: RequestResult) -> None:
        """Count one result."""
        self._latencies.add(outcome.seconds)
        self._statuses[outcome.status] += 1
        self._instances[outcome.ok][outcome.instance] += 1
        if outcome.kind is RequestKind.LOGIN:
            self._logins[outcome.ok][outcome.version] += 1

    def record(self, kind: str, time: float, population: "UserPopulation") -> LoadRecord:
        """Return the counts as a record."""
        ok = self._instances[True].total()
        return LoadRecord(
            kind=kind,
            time=round(time, 3),
            sent=self.sent,
            ok=ok,
            failed=self._instances[False].total(),
            statuses=dict(self._statuses),
            logins_ok=dict(self._logins[True]),
            logins_failed=dict(self._logins[False]),
            ok_by_instance=dict(self._instances[True]),
            failed_by_instance=dict(self._instances[False]),
            users=population.size,
            users_seen=len(population.seen),
            users_hit=len(population.hit),
            p50_ms=_to_milliseconds(self._latencies.quantile(0.5)),
            p95_ms=_to_milliseconds(self._latencies.quantile(0.95)),
            p99_ms=_to_milliseconds(self._latencies.quantile(0.99)),
            max_ms=_to_milliseconds(self._latencies.longest),
        )


def _to_milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 2)


@dataclass
class UserPopulation:
    """The number of users, those who tried to log in, and those who failed."""

    size: int
    seen: set[int] = field(default_factory=set)
    hit: set[int] = field(default_factory=set)

    def add(self, outcome: RequestResult) -> None:
        """Record the result of a user's request."""
        if outcome.kind is RequestKind.LOGIN:
            self.seen.add(outcome.user)
            if not outcome.ok:
                self.hit.add(outcome.user)


class LoadStatistics:
    """Counts the current second and the whole run."""

    def __init__(self, users: int) -> None:
        self._population = UserPopulation(users)
        self._whole = ResultCounter()
        self._second = ResultCounter()

    def sent(self) -> None:
        """Count a request that was sent."""
        self._whole.sent += 1
        self._second.sent += 1

    def add(self, outcome: RequestResult) -> None:
        """Count the result of a request."""
        self._population.add(outcome)
        self._whole.add(outcome)
        self._second.add(outcome)

    def next_second(self, time: float) -> LoadRecord:
        """Close the current second, which ends at `time`, and begin the next."""
        record = self._second.record("second", time, self._population)
        self._second = ResultCounter()
        return record

    def summary(self, time: float) -> LoadRecord:
        """Return the totals so far."""
        return self._whole.record("summary", time, self._population)
