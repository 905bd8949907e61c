"""What happened in one release, second by second: the data behind the live view and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Numbers:
    """One version's traffic as its users had it, over the last few seconds."""

    requests_per_second: float = 0.0
    error_ratio: float | None = None
    """Share of requests, 0–1; None without requests."""
    total: float = 0.0
    """Requests since the start."""
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """One instance's connection pool."""

    instance: str
    side: str
    """`canary` or `stable`."""
    in_use: float
    maximum: float

    @property
    def share(self) -> float:
        """Share in use, 0–1; 0 without a known size."""
        return self.in_use / self.maximum if self.maximum > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """How one metric stands: it fails when `value` reaches `threshold`."""

    metric: str
    verdict: str
    value: float
    threshold: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at a release."""

    time: float
    """Seconds since the release began (negative: before it)."""
    weight: int
    """Percent of traffic to the canary, as the router applies it."""
    phase: str
    reason: str
    message: str
    """Why it is where it is, in one sentence."""
    next: str
    """What happens next, in one sentence."""
    canary: Numbers = field(default_factory=Numbers)
    stable: Numbers = field(default_factory=Numbers)
    pools: tuple[Pool, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseDecision:
    """One decision, with its reason in one sentence."""

    time: float
    weight: int
    phase: str
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """How it ended, in users' terms; times are seconds since the release began."""

    ended: str
    """Such as `Promoted`, `RolledBack` or `Outage`."""
    reason: str
    sentence: str
    requests: int
    """Requests in all."""
    failed: int
    """Those that failed."""
    users: int
    """0 where nobody counted users."""
    users_hit: int
    detected_after: float | None = None
    weight_zero_after: float | None = None
    exposed_for: float | None = None
    """Seconds from the canary's first request to weight 0."""
    peak_weight: int = 0
    peak_pool: float | None = None
    """Highest share of any instance's pool in use, 0–1."""
    failed_by_version: Mapping[str, int] = field(default_factory=dict)
    noun: str = "logins"
    """What `requests` counts."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One release from before its start to its end."""

    title: str
    """Such as `leak, with canary`."""
    guarded: bool
    """Whether canary was in charge."""
    facts: Mapping[str, str]
    """Settings worth knowing, in the order in which they are shown."""
    moments: tuple[Moment, ...]
    decisions: tuple[ReleaseDecision, ...]
    result: ReleaseSummary
