"""The wait itself: looks whenever there may be news, says what changed, and ends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from canary.api import Reason, format_duration
from canary.core.snapshot import ReleaseResource
from canary.errors import ExitCode, NotFoundError, TransientError
from canary.gate.cluster import Look
from canary.gate.result import interrupted, outcome
from canary.gate.rules import overdue, standing
from canary.gate.tracking import Ask, Ended, Quest, Sight, Standing, Waiting, begun, chosen
from canary.results.gate_result import Outcome
from canary.text.format import human_duration
from canary.text.sanitize import make_one_line

UNSEEN: Final = 30.0
"""Seconds after which an operator that takes nothing up is worth a warning."""
HEARTBEAT: Final = 300.0
"""Seconds of silence after which it is said again: some CI systems end silent jobs."""


@dataclass(slots=True)
class Vigil:
    """One gate. Everything that it sees and says is given to it."""

    look: Callable[[], Look]
    say: Callable[[str], None]
    """One line for people: progress and warnings."""
    elapsed: Callable[[], float]
    """Seconds, by a clock that never jumps."""
    pulse: Callable[[float], str | None]
    """What is wrong with the operator; empty: nothing, None: unknown."""
    ask: Ask
    timeout: float
    """Seconds."""
    _began: float = 0.0
    _quest: Quest | None = None
    _sight: Sight | None = None
    _reason: tuple[Reason | None, float] = (None, 0.0)
    _line: tuple[str, float] = ("", 0.0)
    _unseen: float | None = None
    _warned: set[str] = field(default_factory=set)

    def run(self, ticks: Iterable[object]) -> Outcome:
        """Looks at once and after every tick, until there is an outcome.

        Raises what trying again does not change, and TransientError at the first look.
        """
        self._began = self.elapsed()
        for _ in chain((None,), ticks):
            found = self._step()
            if found is not None:
                return found
        raise LookupError("ticks go on until the vigil ends")

    def interrupted(self) -> Outcome | None:
        """What is known when somebody ends the wait; None before the first look."""
        if self._sight is None or self._quest is None:
            return None
        return interrupted(self._sight, self._quest, self._waited())

    def _step(self) -> Outcome | None:
        try:
            seen = self.look()
        except TransientError as error:
            return self._blind(error)
        except NotFoundError:
            return self._gone()
        self._warned.discard("blind")
        sight = self._sighted(seen.resource, seen)
        self._quest = chosen(self._quest or begun(sight), sight, self.ask)
        found = standing(sight, self._quest, self.ask)
        found = self._in_time(found) if isinstance(found, Waiting) else found
        if isinstance(found, Ended):
            return self._outcome(found)
        self._tell(found)
        return None

    def _sighted(self, resource: ReleaseResource, seen: Look) -> Sight:
        now, reason = self.elapsed(), resource.status.reason
        if self._reason[0] is not reason:
            self._reason = (reason, now)
        self._sight = Sight(resource, seen.template, seen.images, now - self._reason[1])
        return self._sight

    def _in_time(self, found: Standing) -> Standing:
        if self._waited() < self.timeout or self._sight is None or self._quest is None:
            return found
        return overdue(self._sight, self._quest, self.ask, format_duration(self.timeout))

    def _outcome(self, ended: Ended) -> Outcome | None:
        if self._sight is None or self._quest is None:
            return None
        return outcome(ended, self._sight, self._quest, self._waited())

    def _waited(self) -> float:
        return self.elapsed() - self._began

    def _blind(self, error: TransientError) -> Outcome | None:
        """The API server does not answer now: the release goes on without us looking."""
        if self._sight is None:
            raise error
        self._warn("blind", f"{error}; trying again")
        ended = self._in_time(Waiting(""))
        return self._outcome(ended) if isinstance(ended, Ended) else None

    def _gone(self) -> Outcome | None:
        if self._sight is None:
            raise NotFoundError("the CanaryRelease is gone")
        text = "was deleted while the gate waited for it"
        return self._outcome(Ended(ExitCode.NOT_FOUND, text, Reason.DELETED))

    def _tell(self, found: Waiting) -> None:
        now = self.elapsed()
        if found.sentence != self._line[0] or now - self._line[1] >= HEARTBEAT:
            self.say(make_one_line(str(found)))
            self._line = (found.sentence, now)
        self._unseen = (now if self._unseen is None else self._unseen) if found.unseen else None
        trouble = self.pulse(now)
        if trouble:
            self._warn("pulse", f"{trouble}; nothing moves until it is back (canary doctor)")
        elif trouble is not None:
            self._warned.discard("pulse")
        if not trouble and self._unseen is not None and now - self._unseen >= UNSEEN:
            self._warn("unseen", _unseen(now - self._unseen, alive=trouble is not None))

    def _warn(self, about: str, text: str) -> None:
        """Once, until it is over."""
        if about not in self._warned:
            self._warned.add(about)
            self.say(f"warning: {make_one_line(text)}")


def _unseen(seconds: float, *, alive: bool) -> str:
    since = f"nothing was taken up for {human_duration(seconds)}"
    if alive:
        return f"{since}: does the operator look after this namespace? (canary doctor)"
    return f"{since}: is the operator running? (canary doctor)"
