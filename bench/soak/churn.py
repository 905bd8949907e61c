"""Ships good, bad, changed and deleted releases to a few services, one after the other for each."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from bench.scale import fleet
from bench.scale.observer import Observer
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES

KINDS = ("good", "bad", "changed", "deleted")
LONGEST = 900.0
"""Seconds after which a release that has not ended is counted as such."""
_CHANGE_AFTER = 30.0
"""Seconds after which a version is replaced by another one, while it is in flight."""


@dataclass
class Journey:
    """What one service goes through."""

    service: fleet.Service
    kinds: Iterator[str]
    number: int = 0
    """Of its last version."""
    kind: str = ""
    """Empty before the first release."""
    since: float = 0.0
    changed: bool = False
    seen: bool = False
    """Whether the release was in flight."""


@dataclass
class Churn:
    """Calls of `step` keep every service in flight; `ended` counts results by kind."""

    client: Client
    whole: fleet.Fleet
    observer: Observer
    fail: Callable[[Sequence[str]], None]
    """Makes the canaries of these services fail, and no others."""
    journeys: list[Journey] = field(default_factory=list)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Create the services."""
        services = self.whole.services()
        fleet.create(self.client, self.whole, services)
        for number, service in enumerate(services):
            shifted = KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]
            self.journeys.append(Journey(service, cycle(shifted)))

    def step(self, now: float) -> None:
        """Begin what can begin, and count what has ended."""
        for journey in self.journeys:
            name = (journey.service.namespace, journey.service.name)
            phase = self.observer.phases.get(name)
            replaced = self.observer.because.get(name) == "TemplateChanged"  # another one follows
            if phase not in {"Ready", "RolledBack"} or replaced:
                journey.seen = journey.seen or phase not in {None, "Pending"}
                self._continue(journey, now, phase or "")
            elif not journey.kind or journey.seen:
                self._end(journey, phase)
                self._begin(journey, now)

    def _continue(self, journey: Journey, now: float, phase: str) -> None:
        waited = now - journey.since
        if journey.kind == "changed" and not journey.changed and waited > _CHANGE_AFTER:
            journey.changed = True
            self._deploy(journey)
        elif journey.kind == "deleted" and phase == "Progressing":
            self._replace(journey)
        elif journey.kind and waited > LONGEST:
            self.ended[journey.kind, f"not ended: {phase}"] += 1
            journey.since = now

    def _begin(self, journey: Journey, now: float) -> None:
        journey.kind, journey.since = next(journey.kinds), now
        journey.changed = journey.seen = False
        name = f"{journey.service.namespace}/{journey.service.name}"
        before = set(self.faults)
        (self.faults.add if journey.kind == "bad" else self.faults.discard)(name)
        if self.faults != before:
            self.fail(sorted(self.faults))
        self._deploy(journey)

    def _end(self, journey: Journey, phase: str) -> None:
        if journey.kind:
            self.ended[journey.kind, phase] += 1

    def _deploy(self, journey: Journey) -> None:
        journey.number += 1
        fleet.deploy(self.client, [journey.service], f"v1.{journey.number}")

    def _replace(self, journey: Journey) -> None:
        """Delete the service with its release in flight; create it again under another name."""
        old = journey.service
        for kind in (RELEASES, HTTP_ROUTES, SERVICES, DEPLOYMENTS):
            self.client.delete(kind, old.namespace, old.name, "Background")
        self.ended["deleted", "in flight"] += 1
        base = old.name.partition(".")[0].rpartition("-x")[0] or old.name
        journey.number += 1
        journey.service = fleet.Service(old.namespace, f"{base}-x{journey.number}")
        fleet.create(self.client, self.whole, [journey.service])
        journey.kind = ""
        journey.seen = False
