"""When users arrive and what they want, fixed before the first answer: pure and reproducible."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from canary.errors import UsageError

REGISTER_SHARE = 0.02
CHECK_SHARE = 0.10
QUIET_SHARE = 0.3
"""The rate of the quietest hour as a share of the peak's."""


class RequestKind(StrEnum):
    """What a user wants."""

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
    """How many arrive when, and who. The same profile always gives the same arrivals."""

    rate: float
    """Arrivals per second; with a day, at its peak."""
    day: float = 0.0
    """Length in seconds of a day with its quiet night and its peak; 0: constant rate."""
    users: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for figures that cannot be."""
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"a rate must be more than 0 per second, not {self.rate:g}")
        if not (math.isfinite(self.day) and self.day >= 0):
            raise UsageError(f"a day must last 0 seconds (constant rate) or more, not {self.day:g}")
        if self.users < 1:
            raise UsageError(f"at least 1 user is needed, not {self.users}")

    def at(self, seconds: float) -> float:
        """Arrivals per second at that time: a day begins at night and peaks in the middle."""
        if self.day == 0:
            return self.rate
        height = (1 - math.cos(2 * math.pi * seconds / self.day)) / 2
        return self.rate * (QUIET_SHARE + (1 - QUIET_SHARE) * height)


def generate_arrivals(profile: LoadProfile, seconds: float = math.inf) -> Iterator[UserArrival]:
    """Poisson arrivals, ascending in time, up to `seconds`.

    Thinning (Lewis & Shedler 1979): arrivals at the peak rate, each kept with the probability
    rate(t)/peak.
    """
    times = random.Random(f"times {profile.seed}")  # noqa: S311  # reproducible, and no secret
    wishes = random.Random(f"wishes {profile.seed}")  # noqa: S311
    now = times.expovariate(profile.rate)
    while now < seconds:
        if times.random() * profile.rate < profile.at(now):
            yield UserArrival(now, _draw_kind(wishes.random()), wishes.randint(1, profile.users))
        now += times.expovariate(profile.rate)


def _draw_kind(chance: float) -> RequestKind:
    if chance < REGISTER_SHARE:
        return RequestKind.REGISTER
    return RequestKind.CHECK if chance < REGISTER_SHARE + CHECK_SHARE else RequestKind.LOGIN
