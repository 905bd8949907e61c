"""Which release a pipeline waits for, and what was observed of it. Pure.

A pipeline changes a Deployment and runs the gate at once, maybe before the operator has seen the
change. So a gate tracks one template, the one in the Deployment when the gate starts, and uses only
the parts of the status that are about this template. For example: template B is applied while the
status still reports the rollback of A; the gate tracks B and ignores that rollback.
"""

from dataclasses import dataclass, replace

from canary.api import HistoryEntry, Reason, Status
from canary.core.snapshot import ReleaseResource
from canary.errors import ExitCode


@dataclass(frozen=True, slots=True)
class GateOptions:
    """The options of a gate."""

    pause_ok: bool = False
    """Keep waiting while the release is paused."""
    bake: bool = False
    """Also wait for the bake after the promotion."""
    next: bool = False
    """If there is nothing to release, wait for the next template."""
    image: str | None = None
    """Wait until the Deployment has this image, then track its template."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The release and its Deployment at one time."""

    resource: ReleaseResource
    template: str | None
    """Hash of the template in the Deployment; None if the Deployment does not exist."""
    images: frozenset[str] = frozenset()
    """Images of the containers of the Deployment."""
    quiet: float = 0.0
    """Seconds since this reason was first observed."""

    @property
    def status(self) -> Status:
        """The status of the release."""
        return self.resource.status

    @property
    def asked(self) -> bool:
        """Whether a command waits for the operator."""
        request = self.resource.request
        return request is not None and request.id != self.status.handled_request


@dataclass(frozen=True, slots=True)
class TrackedRelease:
    """The release that the gate waits for."""

    template: str | None = None
    """None until it is known."""
    known: frozenset[float] = frozenset()
    """Ends (seconds since the epoch) of the releases in the history when the gate started."""
    fresh: bool = False
    """Whether the template was neither stable nor rejected when tracking started."""


@dataclass(frozen=True, slots=True)
class PendingState:
    """The release has not ended."""

    sentence: str
    """What the gate waits for; printed again only if it changes."""
    detail: str = ""
    """Details such as figures, which change all the time."""
    unseen: bool = False
    """Whether the operator has not yet reacted to a new template or command."""

    def __str__(self) -> str:
        return f"{self.sentence}. {self.detail}" if self.detail else self.sentence


@dataclass(frozen=True, slots=True)
class FinishedState:
    """The release has ended, or cannot end."""

    code: ExitCode
    headline: str
    reason: Reason | None = None
    entry: HistoryEntry | None = None
    """The history entry of the tracked release, if it has one."""


GateState = PendingState | FinishedState


@dataclass(frozen=True, slots=True)
class RuleInput:
    """The input of a rule."""

    observed: Observation
    tracked: TrackedRelease
    options: GateOptions

    @property
    def status(self) -> Status:
        """The status of the release."""
        return self.observed.status

    @property
    def own(self) -> bool:
        """Whether the release in progress is the tracked one."""
        release = self.status.release
        return release is not None and release.template == self.tracked.template

    @property
    def entry(self) -> HistoryEntry | None:
        """The last history entry of the tracked template, however old."""
        past = self.status.history
        return next((one for one in past if one.template == self.tracked.template), None)


def start_tracking(observed: Observation) -> TrackedRelease:
    """Return the tracked release at the start: only the history is known."""
    return TrackedRelease(known=frozenset(entry.ended_at for entry in observed.status.history))


def select_template(
    tracked: TrackedRelease, observed: Observation, options: GateOptions
) -> TrackedRelease:
    """Return the tracked release with its template as soon as that is known."""
    if tracked.template is not None or observed.template is None:
        return tracked
    if options.image is not None and options.image not in observed.images:
        return tracked
    status = observed.status
    settled = observed.template in {status.stable_hash, status.rejected_hash}
    at_rest = status.release is None and not observed.asked
    if options.next and settled and at_rest:
        return tracked
    return replace(tracked, template=observed.template, fresh=not settled)
