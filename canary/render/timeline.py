"""The data behind the live view and the report: what happened in a release, over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Numbers:
    """One version's traffic, measured by its clients over the last few seconds."""

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
        """Return the share in use, 0–1; 0 if the size is unknown."""
        return self.in_use / self.maximum if self.maximum > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of one metric; it fails when `value` reaches `threshold`."""

    metric: str
    verdict: str
    value: float
    threshold: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """State of a release at one time."""

    time: float
    """Seconds since the release began (negative: before it)."""
    weight: int
    """Percent of traffic to the canary, as the router applies it."""
    phase: str
    reason: str
    message: str
    """Reason for the current state, in one sentence."""
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
    """Result of a release, in users' terms; times are in seconds since its start."""

    ended: str
    """For example `Promoted`, `RolledBack` or `Outage`."""
    reason: str
    sentence: str
    requests: int
    """Total number of requests."""
    failed: int
    """Number of failed requests."""
    users: int
    """0 if users were not counted."""
    users_hit: int
    detected_after: float | None = None
    weight_zero_after: float | None = None
    exposed_for: float | None = None
    """Seconds from the canary's first request to weight 0."""
    peak_weight: int = 0
    peak_pool: float | None = None
    """Highest share in use of any instance's pool, 0–1."""
    failed_by_version: Mapping[str, int] = field(default_factory=dict)
    noun: str = "logins"
    """Noun for what `requests` counts."""
    happened: str = "failed"
    """Verb for the requests that `failed` counts, which are the slow ones in some releases."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One release, from shortly before its start to its end."""

    title: str
    """For example `leak, with canary`."""
    guarded: bool
    """Whether canary managed the release."""
    facts: Mapping[str, str]
    """Settings to show, in this order."""
    moments: tuple[Moment, ...]
    decisions: tuple[ReleaseDecision, ...]
    result: ReleaseSummary
