"""Which release a pipeline waits for, and what is seen of it. Pure.

A pipeline changes a Deployment and asks at once; the operator may not have seen the change. So a
gate follows one template, the one that the Deployment wants when the gate begins, and believes what
the status says only where it is about that template.
"""

from dataclasses import dataclass, replace

from canary.api import HistoryEntry, Reason, Status
from canary.core.snapshot import ReleaseResource
from canary.errors import ExitCode


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the pipeline wants."""

    pause_ok: bool = False
    """A pause is waited for, as somebody is going to end it."""
    bake: bool = False
    """Promoted is not enough: wait for the bake as well."""
    next: bool = False
    """Where there is nothing to release, wait until there is."""
    image: str | None = None
    """Wait until the Deployment wants this image, then follow that template."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the API server says now."""

    resource: ReleaseResource
    template: str | None
    """Our hash of the template that the Deployment wants; None where there is no Deployment."""
    images: frozenset[str] = frozenset()
    """Of the Deployment's containers."""
    quiet: float = 0.0
    """Seconds since the status was first seen to give this reason."""

    @property
    def status(self) -> Status:
        """What the operator says."""
        return self.resource.status

    @property
    def asked(self) -> bool:
        """Whether a person asked for something that the operator has not taken up yet."""
        request = self.resource.request
        return request is not None and request.id != self.status.handled_request


@dataclass(frozen=True, slots=True)
class TrackedRelease:
    """Which release is waited for."""

    template: str | None = None
    """None: not known yet."""
    known: frozenset[float] = frozenset()
    """Ends (seconds since the epoch) that were history before the gate began."""
    fresh: bool = False
    """Neither stable nor rejected when the gate first saw it."""


@dataclass(frozen=True, slots=True)
class PendingState:
    """Not yet."""

    sentence: str
    """For what; the same until something changed."""
    detail: str = ""
    """Figures, which change all the time."""
    unseen: bool = False
    """The operator has something to take up and has not done so."""

    def __str__(self) -> str:
        return f"{self.sentence}. {self.detail}" if self.detail else self.sentence


@dataclass(frozen=True, slots=True)
class FinishedState:
    """The wait is over."""

    code: ExitCode
    headline: str
    reason: Reason | None = None
    entry: HistoryEntry | None = None
    """The ended release, where it is the one that was waited for."""


GateState = PendingState | FinishedState


@dataclass(frozen=True, slots=True)
class RuleInput:
    """What every rule sees."""

    sight: Observation
    quest: TrackedRelease
    ask: GateOptions

    @property
    def status(self) -> Status:
        """What the operator says."""
        return self.sight.status

    @property
    def own(self) -> bool:
        """Whether the release in flight is the one that is waited for."""
        release = self.status.release
        return release is not None and release.template == self.quest.template

    @property
    def entry(self) -> HistoryEntry | None:
        """The last ended release of the template, however long ago."""
        past = self.status.history
        return next((one for one in past if one.template == self.quest.template), None)


def start_tracking(sight: Observation) -> TrackedRelease:
    """At the first look: what is history already."""
    return TrackedRelease(known=frozenset(entry.ended_at for entry in sight.status.history))


def select_template(quest: TrackedRelease, sight: Observation, ask: GateOptions) -> TrackedRelease:
    """The quest with its template, from the moment at which that is known."""
    if quest.template is not None or sight.template is None:
        return quest
    if ask.image is not None and ask.image not in sight.images:
        return quest
    status = sight.status
    settled = sight.template in {status.stable_hash, status.rejected_hash}
    at_rest = status.release is None and not sight.asked
    if ask.next and settled and at_rest:
        return quest
    return replace(quest, template=sight.template, fresh=not settled)
