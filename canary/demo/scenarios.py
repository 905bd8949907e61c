"""The scenarios of the demo: what is released, and how the release must end."""

from dataclasses import dataclass

from canary.api import Reason
from canary.demo.choices import ScenarioName
from canary.demo.cluster.instances import Build


@dataclass(frozen=True, slots=True)
class DemoScenario:
    """One new version: its defect, and the reasons for which it may be rolled back."""

    name: ScenarioName
    story: str
    build: Build
    reasons: frozenset[Reason]
    """Valid reasons of the rollback; empty: the version must be promoted."""
    rate: float = 57.0
    """Requests per second (with a day: at its peak); 88 % of them are logins, about 50/s."""
    day: float = 0.0
    """Length in seconds of a simulated day with a quiet night and a peak; 0: constant load."""
    watch: float = 60.0
    """Length of the act without canary in seconds."""

    harmless: bool = False
    """The version makes no request fail, even when all users have it."""

    @property
    def good(self) -> bool:
        """Whether the version must be promoted."""
        return not self.reasons


POOL_SIZE = 20
"""Connections per instance."""
LEAK_EVERY = 30
"""One login in this many leaks a connection."""
OLD_BUILD = Build(version="good", label="v1", pool_max=POOL_SIZE)
ERROR_REASONS = frozenset({Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT, Reason.CANARY_OUTAGE})
LEAK_REASONS = frozenset(
    {Reason.CONNECTION_LEAK, Reason.POOL_SATURATED, Reason.CONNECTIONS_WAITING}
)


def build_scenario(name: ScenarioName, *, error_rate: float = 0.05) -> DemoScenario:
    """Build the scenario with that name; `error_rate` (0–1) applies to `errors`."""
    match name:
        case ScenarioName.LEAK:
            return DemoScenario(
                name,
                f"Version v2 leaks a database connection in 1 of {LEAK_EVERY} logins.",
                Build(version="leak", label="v2", pool_max=POOL_SIZE, leak_every=LEAK_EVERY),
                LEAK_REASONS,
                rate=70.0,
                day=120.0,
                watch=75.0,
            )
        case ScenarioName.ERRORS:
            return DemoScenario(
                name,
                f"Version v2 answers {error_rate:.1%} of all requests with an error 500.",
                Build(version=f"errors:{error_rate:g}", label="v2", pool_max=POOL_SIZE),
                ERROR_REASONS,
            )
        case ScenarioName.SLOW:
            return DemoScenario(
                name,
                "Version v2 takes 0.75 s longer for every request.",
                Build(version="slow", label="v2", pool_max=POOL_SIZE),
                ERROR_REASONS | LEAK_REASONS,
                harmless=True,
            )
        case ScenarioName.REFUSE:
            return DemoScenario(
                name,
                "Version v2 answers every request with status 401.",
                Build(version="refuse", label="v2", pool_max=POOL_SIZE),
                ERROR_REASONS,
                harmless=True,
            )
        case ScenarioName.CRASH:
            return DemoScenario(
                name,
                "Version v2 crashes at one of its first requests.",
                Build(version="crash", label="v2", pool_max=POOL_SIZE),
                ERROR_REASONS | {Reason.CRASH_LOOPING, Reason.NEVER_READY},
                watch=30.0,
            )
        case ScenarioName.GOOD:
            return DemoScenario(
                name,
                "Version v2 is as good as v1.",
                Build(version="good", label="v2", pool_max=POOL_SIZE),
                frozenset(),
                harmless=True,
            )
