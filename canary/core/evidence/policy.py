"""What a ratio metric is judged by, what it is judged on, and what is said about it."""

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
    """How "bad requests out of requests" is judged. Rates are shares (0–1), times are seconds."""

    tolerance: float = 1.25
    """The canary may be this many times as bad as stable (≥ 1)."""
    limit: float | None = 0.05
    """Rate above which the canary is bad in itself; None: only the comparison counts."""
    false_positive_rate: float = 0.01
    """Chance that a canary no worse than tolerated is ever failed."""
    smallest_regression: float = 0.005
    """Promotion needs to have ruled out stable's rate plus this."""
    tolerated_incident: float = 30.0
    """A hiccup no longer than this is no reason to roll back."""
    warm_up: float = 60.0
    """From the canary's first request; not counted."""
    min_duration: float = 1200.0
    """Promotion needs at least this long under traffic."""
    floor: float = 0.0002
    """A difference of rates too small to matter."""
    promotion_error: float = 0.01
    """Chance that a canary with exactly the smallest regression is passed."""
    alone: bool = False
    """There is no stable to compare with (after promotion): judge against its history."""

    def __post_init__(self) -> None:
        """Refuses values that make no sense, with a sentence.

        Raises:
            ValueError: says which field, what was expected and what was found.
        """
        for name, low in _AT_LEAST.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= low):
                raise ValueError(f"{name} must be a finite number of at least {low:g}, not {value}")
        for name in ("false_positive_rate", "promotion_error", "smallest_regression", "limit"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name} must lie between 0 and 1 (exclusive), not {value}")

    @property
    def unhealthy(self) -> float:
        """Rate above which stable itself counts as broken: the limit, or 5 % without one."""
        return 0.05 if self.limit is None else self.limit

    def too_bad(self, stable: float) -> float:
        """The rate that promotion has to rule out, beside a stable with this rate.

        Without a limit a rate is only compared: where 20 % of all requests are client errors, half
        a percent more means nothing, and ruling it out would take hundreds of thousands of them.
        With a tolerance of 1.5 it is 30 % then, and with stable at 0.1 % it is 0.6 %.
        """
        if self.limit is not None:
            return stable + self.smallest_regression
        return stable + max(self.smallest_regression, (self.tolerance - 1.0) * stable)

    def after_promotion(self) -> Self:
        """The same policy when only the new version is left: three times its past is too bad."""
        return replace(
            self,
            alone=True,
            tolerance=max(3.0, self.tolerance),
            floor=max(0.005, self.floor),
            tolerated_incident=max(60.0, self.tolerated_incident),
        )


_AT_LEAST = {
    "tolerance": 1.0,
    "tolerated_incident": 0.0,
    "warm_up": 0.0,
    "min_duration": 0.0,
    "floor": 0.0,
}


class PodCount(NamedTuple):
    """One pod in one interval."""

    pod: str
    total: float
    bad: float


class Stratum(NamedTuple):
    """One route (or method) in one interval."""

    name: str
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float


class Interval(NamedTuple):
    """Increments between two scrapes, `start` to `end` in seconds, summed over pods.

    `pods` (stable's), `canary_pods` and `strata` are optional and only make the judge more careful.
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
    """Everything that may be said about a state; nothing here is evidence by itself."""

    failed: bool
    """Latched: once true, always true."""
    failed_at: float | None
    """End (seconds) of the interval that decided."""
    reason: FailReason | None
    step_pass: bool
    """The next step of weight may be taken: gross damage is excluded, now."""
    final_pass: bool
    """Promotion may follow: the smallest regression is excluded, now."""
    passing_since: float | None
    """End of the first interval of the present run of `final_pass`."""
    stable_unhealthy: bool
    """Stable itself is above the limit at present."""
    better_than_broken: bool
    """Stable is broken and the canary is shown to be better: see replacement.py."""
    evidence: float
    """E-value against "no worse than tolerated", at most 1e15."""
    threshold: float
    """1/false_positive_rate: evidence at which the canary fails."""
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    """Requests since the canary's first one, its warm-up included."""
    ratio: float | None
    """How many times as often the canary fails as stable does; None: not known (yet)."""
    ratio_low: float | None
    ratio_high: float | None
    """Confidence sequence of the ratio; None: no bound."""
    sentence: str
