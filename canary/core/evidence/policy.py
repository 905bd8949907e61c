"""The policy of a ratio metric, its input, and its assessment."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Self


class FailReason(StrEnum):
    """Why a canary fails; the constants of conditions, Events and reports."""

    WORSE_THAN_STABLE = "WorseThanStable"
    ABOVE_LIMIT = "AboveLimit"
    CANARY_OUTAGE = "CanaryOutage"


@dataclass(frozen=True, slots=True)
class RatioPolicy:
    """The policy for bad requests. Rates are shares (0–1), times are seconds."""

    tolerance: float = 1.25
    """How many times as often as stable the canary may fail (≥ 1)."""
    limit: float | None = 0.05
    """Rate above which the canary fails whatever stable does; None: only the comparison counts."""
    false_positive_rate: float = 0.01
    """Probability that a canary no worse than tolerated ever fails."""
    smallest_regression: float = 0.005
    """Promotion requires evidence that the canary's rate is below stable's plus this."""
    tolerated_incident: float = 30.0
    """Longest hiccup (seconds) that does not cause a rollback."""
    warm_up: float = 60.0
    """Seconds from the canary's first request; its requests are excluded."""
    min_duration: float = 1200.0
    """Minimum seconds under traffic before promotion."""
    floor: float = 0.0002
    """Differences of rates below this are ignored."""
    promotion_error: float = 0.01
    """Probability that a canary with exactly the smallest regression passes."""
    alone: bool = False
    """Whether there is no stable version (after promotion), so that its history is compared."""

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            ValueError: names the field, what was expected and what was found.
        """
        for name, low in _AT_LEAST.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= low):
                raise ValueError(
                    f"{name}: expected a finite number of at least {low:g}, found {value}"
                )
        for name in ("false_positive_rate", "promotion_error", "smallest_regression", "limit"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(
                    f"{name}: expected a number between 0 and 1 (exclusive), found {value}"
                )

    @property
    def unhealthy(self) -> float:
        """Rate above which stable itself counts as broken: the limit, or 5 % without one."""
        return 0.05 if self.limit is None else self.limit

    def too_bad(self, stable: float) -> float:
        """Return the rate that promotion must exclude, given stable's rate.

        Without a limit rates are only compared. If 20 % of all requests are client errors, half a
        percent more has no meaning, and excluding it would take hundreds of thousands of requests.
        With a tolerance of 1.5 the excluded rate is then 30 %, and with stable at 0.1 % it is 0.6
        %.
        """
        if self.limit is not None:
            return stable + self.smallest_regression
        return stable + max(self.smallest_regression, (self.tolerance - 1.0) * stable)

    def gross_damage(self, stable: float) -> float:
        """Return the rate that the next step must exclude, given stable's rate."""
        return max(_GROSS_RATIO * stable + self.smallest_regression, self.unhealthy)

    def after_promotion(self) -> Self:
        """Return the policy without stable: the version fails at three times its past rate."""
        return replace(
            self,
            alone=True,
            tolerance=max(3.0, self.tolerance),
            floor=max(0.005, self.floor),
            tolerated_incident=max(60.0, self.tolerated_incident),
        )


_GROSS_RATIO = 2.0
_AT_LEAST = {
    "tolerance": 1.0,
    "tolerated_incident": 0.0,
    "warm_up": 0.0,
    "min_duration": 0.0,
    "floor": 0.0,
}


class PodCount(NamedTuple):
    """Counts of one pod in one interval."""

    pod: str
    total: float
    bad: float


class Stratum(NamedTuple):
    """Counts of one route (or method) in one interval."""

    name: str
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float


class Interval(NamedTuple):
    """Increments between two scrapes, from `start` to `end` in seconds, summed over pods.

    `pods` (stable's), `canary_pods` and `strata` are optional. They can only prevent a failure.
    """

    start: float
    end: float
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    pods: tuple[PodCount, ...] = ()
    strata: tuple[Stratum, ...] = ()
    canary_pods: tuple[PodCount, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """A description of the evidence. It takes no decision."""

    failed: bool
    """Whether the canary failed; it stays true."""
    failed_at: float | None
    """End (seconds) of the interval that decided."""
    reason: FailReason | None
    step_pass: bool
    """Whether the next step may start: severe damage is excluded."""
    final_pass: bool
    """Whether promotion may follow: the smallest regression is excluded."""
    passing_since: float | None
    """End of the first interval since which `final_pass` holds."""
    stable_unhealthy: bool
    """Whether stable is above the limit now."""
    better_than_broken: bool
    """Whether stable is broken and the canary is better; see replacement.py."""
    evidence: float
    """E-value against "no worse than tolerated", at most 1e15."""
    threshold: float
    """1/false_positive_rate: evidence at which the canary fails."""
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    """Requests since the canary's first one, including the warm-up."""
    ratio: float | None
    """How many times as often as stable the canary fails; None if unknown."""
    ratio_low: float | None
    ratio_high: float | None
    """Upper bound of the ratio; None if unbounded."""
    sentence: str
    step_missing: str = ""
    """What the next step still takes; empty if it may start."""
    final_missing: str = ""
    """What promotion still takes; empty if it may follow."""
