"""What is seen while nothing is asked, and what follows from it. Pure.

A round is a load and then a drain: nothing is sent, and what is still in use is read until the
drain is over. The least that was in use in all of it is its floor: what nobody gave back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from canary.core.series import NoData
from canary.leaktest.statistics import (
    Slope,
    clean_evidence,
    clean_requests,
    count_rises,
    record_evidence,
    still_rising,
    theil_sen,
)

MIN_READINGS = 3
"""In one drain."""
_LOSSES_PER_ROUND = 1.2
_MIN_LOAD_SECONDS, _MAX_LOAD_SECONDS = 1.0, 20.0
"""Of the load in one round."""
_MIN_FILE_RISE = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one side; by pool, a pool of each process counting for itself."""

    in_use: Mapping[str, float]
    maximum: Mapping[str, float] = field(default_factory=dict)
    """Of the pools that say it; a pool without a limit says none."""
    waiting: float | None = None
    """Callers without a connection; None here and below: not told."""
    timeouts: float | None = None
    """Callers that gave up, ever."""
    files: float | None = None
    """Open file descriptors."""
    memory: float | None = None
    """Resident, in bytes."""
    started: Mapping[str, float] = field(default_factory=dict)
    """When each process started, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One side at the end of a round: the least of each gauge, over all of the drain."""

    requests: int
    """Answered since the first drain, as far as this one can show them."""
    in_use: float
    full: str = ""
    """A pool that had no connection left in all of it; empty: none."""
    maximum: float | None = None
    """Of all pools together."""
    waiting: float | None = None
    timeouts: float | None = None
    """How many gave up, though nothing was asked."""
    files: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """Both sides at the same time."""

    canary: Drain
    stable: Drain | None = None

    @property
    def level(self) -> float:
        """Connections that canary holds, beyond those that stable does."""
        return self.canary.in_use - (self.stable.in_use if self.stable else 0.0)


@dataclass(frozen=True, slots=True)
class LeakTestPolicy:
    """When it is a leak, and when it is none."""

    smallest: float = 2000.0
    """Requests per lost connection: the smallest leak to be ruled out."""
    false_positive_rate: float = 0.01
    """Chance that a sound version is ever failed, over all looks."""
    false_pass: float = 0.01
    """Chance that a version with that leak, or a larger one, ever passes."""
    least: float = 3.0
    """Connections: less is no leak yet; more where some are in use at rest, see `noise`."""
    noise: float = 2.0
    """Standard deviations of what is in use at rest (as if by chance: its square root)."""
    idle: int = 8
    """Drains before the first load."""
    loads: int = 4
    """At least, to pass."""

    @property
    def sure(self) -> float:
        """Evidence at which connections leak: four fifths of the false alarms are theirs."""
        return 1.25 / self.false_positive_rate

    @property
    def sure_of_files(self) -> float:
        """Evidence at which file descriptors do."""
        return 5 / self.false_positive_rate


class LeakKind(StrEnum):
    """What is known so far."""

    LEAK = "Leak"
    EXHAUSTED = "Exhausted"
    WAITING = "Waiting"
    FILES = "Files"
    CLEAN = "Clean"
    UNDECIDED = "Undecided"

    @property
    def bad(self) -> bool:
        """A reason to fail, once it has stayed for longer."""
        return self not in {LeakKind.CLEAN, LeakKind.UNDECIDED}


@dataclass(frozen=True, slots=True)
class LeakFinding:
    """What the rounds say."""

    kind: LeakKind
    evidence: float
    """For a leak of connections; see Policy.sure."""
    lost: float
    """Connections held more than before the first load."""
    slope: Slope | None
    file_evidence: float | None = None
    file_slope: Slope | None = None
    memory_slope: Slope | None = None
    """Only where it grew to the end."""
    clean: bool = False
    """No leak of connections that matters."""
    files_rise: bool = False
    """File descriptors rise to the end, which may be a leak of those."""


def summarize_drain(readings: Sequence[Reading | NoData], requests: int) -> Drain | NoData:
    """The drain in which these were read."""
    seen = [one for one in readings if isinstance(one, Reading)]
    blind = [one for one in readings if isinstance(one, NoData)]
    if len(seen) < MIN_READINGS or len(blind) > len(seen):
        return blind[-1] if blind else NoData("too few readings in a drain: make it longer")
    pools = set(seen[0].in_use)
    if any(set(one.in_use) != pools for one in seen):
        return NoData("pools came and went while nothing was asked")
    floors = {pool: min(one.in_use[pool] for one in seen) for pool in pools}
    last = seen[-1]
    return Drain(
        requests,
        sum(floors.values()),
        full=next((p for p, m in sorted(last.maximum.items()) if floors.get(p, 0.0) >= m > 0), ""),
        maximum=sum(last.maximum.values()) if last.maximum else None,
        waiting=_minimum([one.waiting for one in seen]),
        timeouts=_increase([one.timeouts for one in seen]),
        files=_minimum([one.files for one in seen]),
        memory=_minimum([one.memory for one in seen]),
    )


def _minimum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _increase(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(0.0, known[-1] - known[0]) if len(known) == len(values) else None


def evaluate_rounds(rounds: Sequence[Round], policy: LeakTestPolicy) -> LeakFinding:
    """What all rounds so far say together."""
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
    if finding.evidence >= policy.sure and min(own, finding.lost) >= enough:
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
    """Callers wait, or give up, though nothing is asked and they did not do so before."""
    waiting = (now.waiting or 0.0) > (first.waiting or 0.0)
    return waiting or (now.timeouts or 0.0) > (first.timeouts or 0.0)


def _files_rise(files: Sequence[float], policy: LeakTestPolicy) -> bool:
    """More than a few, and they go on: a pool that opens its connections does not."""
    return files[-1] - files[0] >= _MIN_FILE_RISE and still_rising(files[policy.idle :])


def _files_leak(finding: LeakFinding, policy: LeakTestPolicy) -> bool:
    return (
        finding.files_rise
        and (finding.file_evidence or 0.0) >= policy.sure_of_files
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
    """How many requests the next load has: enough to lose one more connection, or two.

    `sent` are the requests of the loads so far. Without a sign of a leak each load is twice the
    last one, and the last ends where the smallest leak is ruled out. Like the stakes on it, it
    depends on nothing but the ranks of what was seen before, so the evidence stays what it says.
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
    shortest, longest = rate * _MIN_LOAD_SECONDS, rate * _MAX_LOAD_SECONDS
    return max(1, round(max(shortest, min(wanted, longest, max(missing, shortest)))))
