"""What became of the requests: per second and in sum, as JSON. Pure."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from canary.demo.load.schedule import RequestKind
from canary.loadtest.generator.tally import LatencyHistogram

NOBODY = "none"
"""Who answered when the answer does not say: the router itself, or no answer came."""


@dataclass(frozen=True, slots=True)
class RequestResult:
    """One request that is over."""

    kind: RequestKind
    user: int
    status: str
    """The HTTP status, or `timeout`, `refused`, `reset` …; `overload`: never sent, see load.py."""
    seconds: float
    """From the time at which it was due, not from when it was sent."""
    version: str = NOBODY
    instance: str = NOBODY

    @property
    def ok(self) -> bool:
        """Whether the user got what they wanted."""
        return self.status.startswith("2")


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One line: a second (`kind` "second") or all of it (`kind` "summary").

    `logins_ok` and `logins_failed` count by the version that answered ("none": nobody),
    `ok_by_instance` and `failed_by_instance` all requests; latencies are in milliseconds.
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
    """How many users there are."""
    users_seen: int
    """Users who tried to log in since the start."""
    users_hit: int
    """Users with at least one failed login since the start."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The inverse of `to_json`; unknown keys are left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in json.loads(line).items() if key in known})


class ResultCounter:
    """Counts outcomes of one span of time."""

    def __init__(self) -> None:
        self.sent = 0
        self._latencies = LatencyHistogram()
        self._statuses: Counter[str] = Counter()
        self._logins: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._instances: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}

    def add(self, outcome: RequestResult) -> None:
        """Count one."""
        self._latencies.add(outcome.seconds)
        self._statuses[outcome.status] += 1
        self._instances[outcome.ok][outcome.instance] += 1
        if outcome.kind is RequestKind.LOGIN:
            self._logins[outcome.ok][outcome.version] += 1

    def record(self, kind: str, time: float, population: "UserPopulation") -> LoadRecord:
        """What was counted, as a line."""
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
    """The users: how many, who has tried to log in, and who has failed to."""

    size: int
    seen: set[int] = field(default_factory=set)
    hit: set[int] = field(default_factory=set)

    def add(self, outcome: RequestResult) -> None:
        """Remember one outcome."""
        if outcome.kind is RequestKind.LOGIN:
            self.seen.add(outcome.user)
            if not outcome.ok:
                self.hit.add(outcome.user)


class LoadStatistics:
    """The present second and the whole run."""

    def __init__(self, users: int) -> None:
        self._population = UserPopulation(users)
        self._whole = ResultCounter()
        self._second = ResultCounter()

    def sent(self) -> None:
        """A request was due and is on its way."""
        self._whole.sent += 1
        self._second.sent += 1

    def add(self, outcome: RequestResult) -> None:
        """A request is over."""
        self._population.add(outcome)
        self._whole.add(outcome)
        self._second.add(outcome)

    def next_second(self, time: float) -> LoadRecord:
        """Close the present second (which ends at `time`) and begin the next."""
        record = self._second.record("second", time, self._population)
        self._second = ResultCounter()
        return record

    def summary(self, time: float) -> LoadRecord:
        """Everything so far."""
        return self._whole.record("summary", time, self._population)
