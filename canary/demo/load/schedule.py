"""When users arrive and what they request, fixed in advance. Pure and reproducible."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from canary.errors import UsageError

REGISTER_SHARE = 0.02
CHECK_SHARE = 0.10
QUIET_SHARE = 0.3
"""Lowest rate of a day as a share of its peak rate."""


class RequestKind(StrEnum):
    """The kind of a user's request."""

    LOGIN = "login"
    REGISTER = "register"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class UserArrival:
    """One request, to be sent `at` seconds after the start; `user` counts from 1."""

    at: float
    kind: RequestKind
    user: int


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """Rate and users of a load. The same profile always gives the same arrivals."""

    rate: float
    """Arrivals per second; with a day, at its peak."""
    day: float = 0.0
    """Length in seconds of a day with a quiet night and a peak; 0: constant rate."""
    users: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for invalid values."""
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"expected a rate above 0 per second, found {self.rate:g}")
        if not (math.isfinite(self.day) and self.day >= 0):
            raise UsageError(
                f"expected a day of 0 seconds (constant rate) or more, found {self.day:g}"
            )
        if self.users < 1:
            raise UsageError(f"expected at least 1 user, found {self.users}")

    def rate_at(self, seconds: float) -> float:
        """Return the arrivals per second; a day begins at night and peaks in the middle."""
        if self.day == 0:
            return self.rate
        height = (1 - math.cos(2 * math.pi * seconds / self.day)) / 2
        return self.rate * (QUIET_SHARE + (1 - QUIET_SHARE) * height)


def generate_arrivals(profile: LoadProfile, seconds: float = math.inf) -> Iterator[UserArrival]:
    """Yield Poisson arrivals in order of time, up to `seconds`.

    Thinning (Lewis & Shedler 1979): arrivals at the peak rate, each kept with the probability
    rate(t)/peak.
    """
    times = random.Random(f"times {profile.seed}")  # noqa: S311  # reproducible, and no secret
    choices = random.Random(f"wishes {profile.seed}")  # noqa: S311
    now = times.expovariate(profile.rate)
    while now < seconds:
        if times.random() * profile.rate < profile.rate_at(now):
            yield UserArrival(now, _draw_kind(choices.random()), choices.randint(1, profile.users))
        now += times.expovariate(profile.rate)


def _draw_kind(chance: float) -> RequestKind:
    if chance < REGISTER_SHARE:
        return RequestKind.REGISTER
    return RequestKind.CHECK if chance < REGISTER_SHARE + CHECK_SHARE else RequestKind.LOGIN
