"""The wait of a gate: evaluates the release after each update, and prints what has changed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from canary.api import Reason, format_duration
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
from canary.kube.objects import Object
from canary.kube.release_watch import ReleaseUpdate
from canary.results.gate_result import GateResult
from canary.text.format import human_duration
from canary.text.sanitize import make_one_line

UNHANDLED_WARNING: Final = 30.0
"""Seconds without a reaction of the operator after which a warning is printed."""
HEARTBEAT_SECONDS: Final = 300.0
"""Seconds after which the state is printed again: some CI systems end silent jobs."""


@dataclass(slots=True)
class GateWaiter:
    """Waits for one release."""

    read_state: Callable[[Object | None], ClusterState]
    """Reads the state; the argument is the release from the watch, None if it has not changed."""
    print_line: Callable[[str], None]
    """Prints a line of progress or a warning."""
    elapsed: Callable[[], float]
    """Monotonic clock in seconds."""
    operator_problem: Callable[[float], str | None]
    """What is wrong with the operator at a time; empty: nothing, None: unknown."""
    options: GateOptions
    timeout: float
    """Timeout in seconds."""
    _started: float = 0.0
    _tracked: TrackedRelease | None = None
    _observed: Observation | None = None
    _reason: tuple[Reason | None, float] = (None, 0.0)
    _printed: tuple[str, float] = ("", 0.0)
    _unhandled_since: float | None = None
    _warned: set[str] = field(default_factory=set)

    def run(self, updates: Iterable[ReleaseUpdate]) -> GateResult:
        """Evaluate the release at once and after every update, until there is a result.

        Raises errors that a retry does not fix, and TransientError before the first state.
        """
        self._started = self.elapsed()
        for update in chain((ReleaseUpdate(),), updates):
            result = self._handle_update(update)
            if result is not None:
                return result
        raise LookupError("expected the updates of a watch to continue, found their end")

    def interrupted(self) -> GateResult | None:
        """Return the result of an interrupted wait; None before the first state."""
        if self._observed is None or self._tracked is None:
            return None
        return interrupted_result(self._observed, self._tracked, self._seconds_waited())

    def _handle_update(self, update: ReleaseUpdate) -> GateResult | None:
        if update.item is None and update.old is not None:
            return self._handle_deletion()
        if update.trouble and self._observed is not None:
            return self._handle_outage(TransientError(update.trouble))
        try:
            state = self.read_state(update.item)
        except TransientError as error:
            return self._handle_outage(error)
        except NotFoundError:
            return self._handle_deletion()
        self._warned.discard("outage")
        observed = self._observe_state(state)
        self._tracked = select_template(
            self._tracked or start_tracking(observed), observed, self.options
        )
        found = evaluate_rules(observed, self._tracked, self.options)
        found = self._check_timeout(found) if isinstance(found, PendingState) else found
        if isinstance(found, FinishedState):
            return self._build_result(found)
        self._print_progress(found)
        return None

    def _observe_state(self, state: ClusterState) -> Observation:
        now, reason = self.elapsed(), state.resource.status.reason
        if self._reason[0] is not reason:
            self._reason = (reason, now)
        quiet = now - self._reason[1]
        self._observed = Observation(state.resource, state.template, state.images, quiet)
        return self._observed

    def _check_timeout(self, found: GateState) -> GateState:
        if self._seconds_waited() < self.timeout or self._observed is None or self._tracked is None:
            return found
        return time_out(self._observed, self._tracked, self.options, format_duration(self.timeout))

    def _build_result(self, found: FinishedState) -> GateResult | None:
        if self._observed is None or self._tracked is None:
            return None
        return build_result(found, self._observed, self._tracked, self._seconds_waited())

    def _seconds_waited(self) -> float:
        return self.elapsed() - self._started

    def _handle_outage(self, error: TransientError) -> GateResult | None:
        """The API server cannot be reached: the release continues, and so does the wait."""
        if self._observed is None:
            raise error
        self._warn_once("outage", f"{error}; retrying")
        found = self._check_timeout(PendingState(""))
        return self._build_result(found) if isinstance(found, FinishedState) else None

    def _handle_deletion(self) -> GateResult | None:
        if self._observed is None:
            raise NotFoundError("the CanaryRelease does not exist")
        text = "the CanaryRelease was deleted while the gate waited for it"
        return self._build_result(FinishedState(ExitCode.NOT_FOUND, text, Reason.DELETED))

    def _print_progress(self, found: PendingState) -> None:
        now = self.elapsed()
        if found.sentence != self._printed[0] or now - self._printed[1] >= HEARTBEAT_SECONDS:
            self.print_line(make_one_line(str(found)))
            self._printed = (found.sentence, now)
        since = now if self._unhandled_since is None else self._unhandled_since
        self._unhandled_since = since if found.unseen else None
        problem = self.operator_problem(now)
        if problem:
            self._warn_once("operator", f"{problem}; the release does not continue (canary doctor)")
        elif problem is not None:
            self._warned.discard("operator")
        if not problem and found.unseen and now - since >= UNHANDLED_WARNING:
            self._warn_once(
                "unhandled", _describe_unhandled(now - since, running=problem is not None)
            )

    def _warn_once(self, about: str, text: str) -> None:
        """Print a warning once, until its cause is gone."""
        if about not in self._warned:
            self._warned.add(about)
            self.print_line(f"warning: {make_one_line(text)}")


def _describe_unhandled(seconds: float, *, running: bool) -> str:
    since = f"the operator has not reacted for {human_duration(seconds)}"
    if running:
        return f"{since}: does it reconcile this namespace? (canary doctor)"
    return f"{since}: is it running? (canary doctor)"
