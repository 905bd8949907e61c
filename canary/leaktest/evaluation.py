"""Evaluates drains: does the number of connections in use at rest rise with requests? Pure.

A round is a load followed by a drain. During a drain no request is sent, and the gauges of the
pool are read several times. The smallest number of connections in use during the drain is its
floor: connections that no request holds any more, and that were not returned.

Example: floors of 0, 0, 0 (before any load), then 1 after 3,000 requests, 2 after 6,000 and 3
after 9,000. Every load sets a new record, so the evidence grows until it exceeds
`LeakTestPolicy.leak_threshold`: a leak of about 1 connection per 3,000 requests.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from canary.core.series import NoData
from canary.core.statistics import Slope, theil_sen
from canary.leaktest.evidence import (
    clean_evidence,
    clean_requests,
    count_rises,
    record_evidence,
    still_rising,
)

MIN_READINGS = 3
"""Readings that a drain needs."""
_LOSSES_PER_ROUND = 1.2
_MAX_LOAD_SECONDS = 20.0
"""Length of the load in one round."""
_MIN_FILE_RISE = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """All gauges of one version at one moment. A pool of each process is a pool of its own."""

    in_use: Mapping[str, float]
    maximum: Mapping[str, float] = field(default_factory=dict)
    """Pool sizes; pools without a known limit are missing."""
    waiting: float | None = None
    """Callers that wait for a connection; None here and below: no such metric."""
    timeouts: float | None = None
    """Callers that gave up waiting, since the process started."""
    files: float | None = None
    """Open file descriptors."""
    memory: float | None = None
    """Resident memory in bytes."""
    started: Mapping[str, float] = field(default_factory=dict)
    """When each process started, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One version at the end of a round: the minimum of each gauge over the drain."""

    requests: int
    """Requests answered since the first drain whose leaks this drain can show."""
    in_use: float
    full: str = ""
    """A pool that had no free connection during the whole drain; empty: none."""
    maximum: float | None = None
    """Size of all pools together."""
    waiting: float | None = None
    timeouts: float | None = None
    """Callers that gave up during the drain."""
    files: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """Both versions at the same time."""

    canary: Drain
    stable: Drain | None = None

    @property
    def level(self) -> float:
        """Connections that the candidate holds in excess of the stable version."""
        return self.canary.in_use - (self.stable.in_use if self.stable else 0.0)


@dataclass(frozen=True, slots=True)
class LeakTestPolicy:
    """Thresholds for failing and for passing."""

    smallest: float = 2000.0
    """Requests per lost connection: the smallest leak that the test must rule out."""
    false_positive_rate: float = 0.01
    """Probability that a sound version ever fails, over all rounds."""
    false_pass: float = 0.01
    """Probability that a version with the smallest leak, or a larger one, ever passes."""
    least: float = 3.0
    """Minimum number of lost connections for a leak; `noise` adds to it."""
    noise: float = 2.0
    """Standard deviations of the connections in use at rest that are added to `least`. The
    standard deviation is taken to be the square root of their number, as for a Poisson count."""
    idle: int = 8
    """Drains before the first load."""
    loads: int = 4
    """Minimum number of loads to pass."""
    min_load: float = 1.0
    """Minimum length of a load in seconds."""
    min_offered_ratio: float = 0.9
    """Share of the due requests that must be sent in time. It is lower than a load test's because
    requests are counted here, not timed."""

    @property
    def leak_threshold(self) -> float:
        """Evidence that proves a connection leak.

        The false positive rate is split: four fifths for connections (1 / 0.8 = 1.25), one fifth
        for file descriptors (1 / 0.2 = 5).
        """
        return 1.25 / self.false_positive_rate

    @property
    def file_leak_threshold(self) -> float:
        """Evidence that proves a leak of file descriptors."""
        return 5 / self.false_positive_rate


class LeakKind(StrEnum):
    """Result of the rounds so far."""

    LEAK = "Leak"
    EXHAUSTED = "Exhausted"
    WAITING = "Waiting"
    FILES = "Files"
    CLEAN = "Clean"
    UNDECIDED = "Undecided"

    @property
    def fails(self) -> bool:
        """A reason to fail if it persists in a longer drain."""
        return self not in {LeakKind.CLEAN, LeakKind.UNDECIDED}


@dataclass(frozen=True, slots=True)
class LeakFinding:
    """The evaluation of all rounds."""

    kind: LeakKind
    evidence: float
    """Evidence for a connection leak; see LeakTestPolicy.leak_threshold."""
    lost: float
    """Connections held in excess of those before the first load."""
    slope: Slope | None
    file_evidence: float | None = None
    file_slope: Slope | None = None
    memory_slope: Slope | None = None
    """None if memory stopped growing."""
    clean: bool = False
    """A connection leak of `LeakTestPolicy.smallest` is ruled out."""
    files_rise: bool = False
    """Open file descriptors were still rising at the end, which may be a leak."""


def summarize_drain(readings: Sequence[Reading | NoData], requests: int) -> Drain | NoData:
    """Summarize the readings of one drain. `requests` is the total answered before it.

    Returns NoData if there are too few readings, or if the set of pools changed.
    """
    found = [one for one in readings if isinstance(one, Reading)]
    missing = [one for one in readings if isinstance(one, NoData)]
    if len(found) < MIN_READINGS or len(missing) > len(found):
        return missing[-1] if missing else NoData("too few readings in a drain: increase --drain")
    pools = set(found[0].in_use)
    if any(set(one.in_use) != pools for one in found):
        return NoData("the set of connection pools changed during a drain")
    floors = {pool: min(one.in_use[pool] for one in found) for pool in pools}
    last = found[-1]
    return Drain(
        requests,
        sum(floors.values()),
        full=next((p for p, m in sorted(last.maximum.items()) if floors.get(p, 0.0) >= m > 0), ""),
        maximum=sum(last.maximum.values()) if last.maximum else None,
        waiting=_known_minimum([one.waiting for one in found]),
        timeouts=_known_increase([one.timeouts for one in found]),
        files=_known_minimum([one.files for one in found]),
        memory=_known_minimum([one.memory for one in found]),
    )


def _known_minimum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _known_increase(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(0.0, known[-1] - known[0]) if len(known) == len(values) else None


def evaluate_rounds(rounds: Sequence[Round], policy: LeakTestPolicy) -> LeakFinding:
    """Evaluate all rounds so far together."""
    requests = [float(one.canary.requests) for one in rounds]
    levels = [one.level for one in rounds]
    evidence = record_evidence(levels, requests, policy.idle, policy.smallest)
    files = _complete_gauge([_excess_files(one) for one in rounds])
    memory = _complete_gauge([one.canary.memory for one in rounds])
    finding = LeakFinding(
        LeakKind.UNDECIDED,
        evidence,
        levels[-1] - min(levels[: policy.idle]),
        theil_sen(requests, levels),
        record_evidence(files, requests, policy.idle, policy.smallest) if files else None,
        theil_sen(requests, files) if files else None,
        theil_sen(requests, memory) if memory and still_rising(memory[policy.idle :]) else None,
        files_rise=files is not None and _files_rise(files, policy),
    )
    finding = replace(finding, clean=_rules_out_leak(finding, rounds, policy))
    return replace(finding, kind=_classify_leak(finding, rounds, policy))


def _classify_leak(
    finding: LeakFinding, rounds: Sequence[Round], policy: LeakTestPolicy
) -> LeakKind:
    canary = [one.canary for one in rounds]
    own = canary[-1].in_use - min(one.in_use for one in canary[: policy.idle])
    enough = policy.least + policy.noise * math.sqrt(_count_idle(rounds[0]))
    if finding.evidence >= policy.leak_threshold and min(own, finding.lost) >= enough:
        return LeakKind.LEAK
    if canary[-1].full and not canary[0].full:
        return LeakKind.EXHAUSTED
    if _callers_wait(canary[-1], canary[0]) and _callers_wait(canary[-2], canary[0]):
        return LeakKind.WAITING
    if _files_leak(finding, policy):
        return LeakKind.FILES
    return LeakKind.CLEAN if finding.clean and not finding.files_rise else LeakKind.UNDECIDED


def _count_idle(one: Round) -> float:
    return one.canary.in_use + (one.stable.in_use if one.stable else 0.0)


def _excess_files(one: Round) -> float | None:
    if one.stable is None or one.stable.files is None or one.canary.files is None:
        return one.canary.files
    return one.canary.files - one.stable.files


def _complete_gauge(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _callers_wait(now: Drain, first: Drain) -> bool:
    """Whether callers wait or give up at rest although they did not before the first load."""
    waiting = (now.waiting or 0.0) > (first.waiting or 0.0)
    return waiting or (now.timeouts or 0.0) > (first.timeouts or 0.0)


def _files_rise(files: Sequence[float], policy: LeakTestPolicy) -> bool:
    """Return whether open files rose by more than a few and keep rising; a full pool does not."""
    return files[-1] - files[0] >= _MIN_FILE_RISE and still_rising(files[policy.idle :])


def _files_leak(finding: LeakFinding, policy: LeakTestPolicy) -> bool:
    return (
        finding.files_rise
        and (finding.file_evidence or 0.0) >= policy.file_leak_threshold
        and finding.file_slope is not None
        and finding.file_slope.low > 0
    )


def _rules_out_leak(finding: LeakFinding, rounds: Sequence[Round], policy: LeakTestPolicy) -> bool:
    if len(rounds) < policy.idle + policy.loads or rounds[-1].canary.full:
        return False
    lost, requests = max(0.0, finding.lost), rounds[-1].canary.requests
    return clean_evidence(lost, requests, policy.smallest) >= 1 / policy.false_pass


def plan_next_load(
    rounds: Sequence[Round], sent: Sequence[int], policy: LeakTestPolicy, rate: float
) -> int:
    """Return the number of requests of the next load: enough to lose one or two connections.

    `sent` are the requests of the loads so far, `rate` is requests per second. Without a sign of a
    leak each load is twice as long as the last, and the total ends where the smallest leak is ruled
    out. The size depends only on the ranks of earlier floors, never on their values: the guarantee
    of `record_evidence` requires that (floors of a sound version are exchangeable).
    """
    levels = [one.level for one in rounds]
    risen, done = count_rises(levels, policy.idle), rounds[-1].canary.requests
    last = sent[-1] if sent else 0
    wanted = _LOSSES_PER_ROUND * done / risen if risen else 2.0 * last
    if risen and levels[-1] > max(levels[:-1]):
        wanted = min(wanted, last)
    missing = 1.02 * (clean_requests(risen, policy.smallest, policy.false_pass) - done)
    if len(sent) + 1 < policy.loads:
        missing /= policy.loads - len(sent)
    shortest, longest = rate * policy.min_load, rate * _MAX_LOAD_SECONDS
    return max(1, round(max(shortest, min(wanted, longest, max(missing, shortest)))))
