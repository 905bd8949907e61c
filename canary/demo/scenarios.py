"""What is released in the demo, and how it must end."""

from dataclasses import dataclass

from canary.api import Reason
from canary.demo.cluster.instances import Build
from canary.demo.names import Scenarios


@dataclass(frozen=True, slots=True)
class Scenario:
    """One new version: what is wrong with it, and for which reasons it may be rolled back."""

    name: Scenarios
    story: str
    build: Build
    reasons: frozenset[Reason]
    """Empty: it must be promoted."""
    rate: float = 57.0
    """Requests per second (with a day: at its peak); 88 % of them are logins: 50 a second."""
    day: float = 0.0
    """Seconds in which a day with its quiet night and its peak passes; 0: constant load."""
    watch: float = 60.0
    """Seconds to watch it without canary."""

    harmless: bool = False
    """Shipped to everybody, it makes no request fail."""

    @property
    def good(self) -> bool:
        """Whether it must be promoted."""
        return not self.reasons


POOL = 20
"""Connections per instance."""
LEAK_EVERY = 30
"""One login in so many loses a connection."""
OLD = Build(version="good", label="v1", pool_max=POOL)
ERRORS = frozenset({Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT, Reason.CANARY_OUTAGE})
LEAKS = frozenset({Reason.CONNECTION_LEAK, Reason.POOL_SATURATED, Reason.CONNECTIONS_WAITING})


def scenario(name: Scenarios, *, error_rate: float = 0.05) -> Scenario:
    """The scenario of that name; `error_rate` (0–1) is for `errors`."""
    match name:
        case Scenarios.LEAK:
            return Scenario(
                name,
                f"Version v2 forgets to give a connection back in 1 of {LEAK_EVERY} logins.",
                Build(version="leak", label="v2", pool_max=POOL, leak_every=LEAK_EVERY),
                LEAKS,
                rate=70.0,
                day=120.0,
                watch=75.0,
            )
        case Scenarios.ERRORS:
            return Scenario(
                name,
                f"Version v2 answers {error_rate:.1%} of all requests with an error 500.",
                Build(version=f"errors:{error_rate:g}", label="v2", pool_max=POOL),
                ERRORS,
            )
        case Scenarios.SLOW:
            return Scenario(
                name,
                "Version v2 takes three quarters of a second longer for every request.",
                Build(version="slow", label="v2", pool_max=POOL),
                ERRORS | LEAKS,
                harmless=True,
            )
        case Scenarios.REFUSE:
            return Scenario(
                name,
                "Version v2 answers 401 to everybody.",
                Build(version="refuse", label="v2", pool_max=POOL),
                ERRORS,
                harmless=True,
            )
        case Scenarios.CRASH:
            return Scenario(
                name,
                "Version v2 dies at one of its first requests.",
                Build(version="crash", label="v2", pool_max=POOL),
                ERRORS | {Reason.CRASH_LOOPING, Reason.NEVER_READY},
                watch=30.0,
            )
        case Scenarios.GOOD:
            return Scenario(
                name,
                "Version v2 is as good as v1.",
                Build(version="good", label="v2", pool_max=POOL),
                frozenset(),
                harmless=True,
            )
