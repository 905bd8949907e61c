"""The wait itself: looks whenever there may be news, says what changed, and ends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from canary.api import Reason, format_duration
from canary.core.snapshot import ReleaseResource
from canary.errors import ExitCode, NotFoundError, TransientError
from canary.gate.cluster import ClusterState
from canary.gate.result import build_result, interrupted_result
from canary.gate.rules import evaluate_rules, time_out
from canary.gate.tracking import (
    FinishedState,
    GateOptions,
    GateState,
    Observation,
    PendingState,
    TrackedRelease,
    select_template,
    start_tracking,
)
from canary.results.gate_result import GateResult
from canary.text.format import human_duration
from canary.text.sanitize import make_one_line

UNHANDLED_WARNING: Final = 30.0
"""Seconds after which an operator that takes nothing up is worth a warning."""
HEARTBEAT_SECONDS: Final = 300.0
"""Seconds of silence after which it is said again: some CI systems end silent jobs."""


@dataclass(slots=True)
class GateWaiter:
    """One gate. Everything that it sees and says is given to it."""

    look: Callable[[], ClusterState]
    say: Callable[[str], None]
    """One line for people: progress and warnings."""
    elapsed: Callable[[], float]
    """Seconds, by a clock that never jumps."""
    pulse: Callable[[float], str | None]
    """What is wrong with the operator; empty: nothing, None: unknown."""
    ask: GateOptions
    timeout: float
    """Seconds."""
    _began: float = 0.0
    _quest: TrackedRelease | None = None
    _sight: Observation | None = None
    _reason: tuple[Reason | None, float] = (None, 0.0)
    _line: tuple[str, float] = ("", 0.0)
    _unseen: float | None = None
    _warned: set[str] = field(default_factory=set)

    def run(self, ticks: Iterable[object]) -> GateResult:
        """Looks at once and after every tick, until there is an outcome.

        Raises what trying again does not change, and TransientError at the first look.
        """
        self._began = self.elapsed()
        for _ in chain((None,), ticks):
            found = self._step()
            if found is not None:
                return found
        raise LookupError("ticks go on until the vigil ends")

    def interrupted(self) -> GateResult | None:
        """What is known when somebody ends the wait; None before the first look."""
        if self._sight is None or self._quest is None:
            return None
        return interrupted_result(self._sight, self._quest, self._waited())

    def _step(self) -> GateResult | None:
        try:
            seen = self.look()
        except TransientError as error:
            return self._blind(error)
        except NotFoundError:
            return self._gone()
        self._warned.discard("blind")
        sight = self._sighted(seen.resource, seen)
        self._quest = select_template(self._quest or start_tracking(sight), sight, self.ask)
        found = evaluate_rules(sight, self._quest, self.ask)
        found = self._in_time(found) if isinstance(found, PendingState) else found
        if isinstance(found, FinishedState):
            return self._outcome(found)
        self._tell(found)
        return None

    def _sighted(self, resource: ReleaseResource, seen: ClusterState) -> Observation:
        now, reason = self.elapsed(), resource.status.reason
        if self._reason[0] is not reason:
            self._reason = (reason, now)
        self._sight = Observation(resource, seen.template, seen.images, now - self._reason[1])
        return self._sight

    def _in_time(self, found: GateState) -> GateState:
        if self._waited() < self.timeout or self._sight is None or self._quest is None:
            return found
        return time_out(self._sight, self._quest, self.ask, format_duration(self.timeout))

    def _outcome(self, ended: FinishedState) -> GateResult | None:
        if self._sight is None or self._quest is None:
            return None
        return build_result(ended, self._sight, self._quest, self._waited())

    def _waited(self) -> float:
        return self.elapsed() - self._began

    def _blind(self, error: TransientError) -> GateResult | None:
        """The API server does not answer now: the release goes on without us looking."""
        if self._sight is None:
            raise error
        self._warn("blind", f"{error}; trying again")
        ended = self._in_time(PendingState(""))
        return self._outcome(ended) if isinstance(ended, FinishedState) else None

    def _gone(self) -> GateResult | None:
        if self._sight is None:
            raise NotFoundError("the CanaryRelease is gone")
        text = "was deleted while the gate waited for it"
        return self._outcome(FinishedState(ExitCode.NOT_FOUND, text, Reason.DELETED))

    def _tell(self, found: PendingState) -> None:
        now = self.elapsed()
        if found.sentence != self._line[0] or now - self._line[1] >= HEARTBEAT_SECONDS:
            self.say(make_one_line(str(found)))
            self._line = (found.sentence, now)
        self._unseen = (now if self._unseen is None else self._unseen) if found.unseen else None
        trouble = self.pulse(now)
        if trouble:
            self._warn("pulse", f"{trouble}; nothing moves until it is back (canary doctor)")
        elif trouble is not None:
            self._warned.discard("pulse")
        if not trouble and self._unseen is not None and now - self._unseen >= UNHANDLED_WARNING:
            self._warn("unseen", _describe_unhandled(now - self._unseen, alive=trouble is not None))

    def _warn(self, about: str, text: str) -> None:
        """Once, until it is over."""
        if about not in self._warned:
            self._warned.add(about)
            self.say(f"warning: {make_one_line(text)}")


def _describe_unhandled(seconds: float, *, alive: bool) -> str:
    since = f"nothing was taken up for {human_duration(seconds)}"
    if alive:
        return f"{since}: does the operator look after this namespace? (canary doctor)"
    return f"{since}: is the operator running? (canary doctor)"
