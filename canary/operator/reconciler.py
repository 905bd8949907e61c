"""One pass, whatever comes of it: what to say, and when to look again."""

import logging
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from canary.api import Intent, Reason, SpecError, Status
from canary.errors import (
    CanaryError,
    ConflictError,
    NotFoundError,
    PermanentError,
    TransientError,
    UsageError,
)
from canary.interfaces import Clock, Key
from canary.kube.api_errors import NotLeaderError
from canary.operator.world_factory import SelectedSource, WorldFactory
from canary.reconcile import reconcile
from canary.status_update import PassResult

_log = logging.getLogger(__name__)

RESYNC: Final = 600.0
"""Seconds, about: a release at rest is looked at again even if nothing has changed."""
REFUSED_RETRY: Final = 60.0
"""Seconds until what was refused, for want of a right for one, is tried again."""
current_release: ContextVar[tuple[Key, Status | None] | None] = ContextVar("pass", default=None)
"""The release that this thread passes over, with its status as far as known, for log lines."""


class RefusalWriter(Protocol):
    """Where a release hears that it cannot be followed: canary.kube.releases.KubeReleases."""

    def refuse(self, key: Key, message: str, now: float, reason: Reason = ...) -> None:
        """Says so in the status, once."""
        ...


class ReconcileObserver(Protocol):
    """Is told of each pass, for metrics."""

    def passed(self, key: Key, status: Status) -> None:
        """A pass has come to its end; `status` is as it is written now."""
        ...

    def gone(self, key: Key) -> None:
        """The release does not exist any more."""
        ...

    def counted(self, result: str, seconds: float) -> None:
        """`result` is success or error."""
        ...


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """When the next pass is due."""

    after: float
    """Seconds; at least, where `failed`."""
    failed: bool = False
    """It backs off with every failure of this release."""


RELEASE_DELETED = None
"""In place of Again: there is nothing to pass over any more."""


@dataclass
class ReleaseReconciler:
    """Runs passes; never raises."""

    worlds: WorldFactory
    refusals: RefusalWriter
    clock: Clock
    warn: Callable[[Key, Reason, str], None]
    exists: Callable[[Key], bool]
    abandon: Callable[[Key], None]
    """Lets go of what a release that is gone had marked; may raise."""
    forget: Callable[[Key], None]
    observer: ReconcileObserver
    resync: float = RESYNC
    _said: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    _known: dict[Key, Status] = field(default_factory=dict)

    def run(self, key: Key) -> ReconcileResult | None:
        """One pass over one release."""
        began = self.clock.now()
        token = current_release.set((key, self._known.get(key)))
        again: ReconcileResult | None = None
        try:
            again = self._guarded(key)
        finally:
            current_release.reset(token)
            result = "error" if again and again.failed else "success"
            self.observer.counted(result, self.clock.now() - began)
        return again

    def _guarded(self, key: Key) -> ReconcileResult | None:
        try:
            return self._pass(key)
        except UsageError as error:
            return self._refused(key, Reason.INVALID_SPEC, _describe_error(error))
        except (TransientError, NotFoundError, PermanentError) as error:
            return self._failed(key, error)
        except Exception:  # noqa: BLE001  # one release must not end the others
            _log.exception("unexpected error while reconciling")
            return ReconcileResult(1.0, failed=True)

    def _pass(self, key: Key) -> ReconcileResult:
        world, source = self.worlds.of(key)
        outcome = reconcile(world, key)
        source.follow(outcome.status, outcome.judged_until)
        self._tell(key, outcome)
        refused = outcome.done.refused
        if refused is not None:
            return self._transient(refused)
        return ReconcileResult(self._after(outcome, source))

    def _after(self, outcome: PassResult, source: SelectedSource) -> float:
        due = None if outcome.requeue_after is None else source.due(self.clock.now())
        after = seconds_to_next_pass(outcome, due)
        if after is None:
            return self.resync * random.uniform(0.8, 1.2)  # noqa: S311  # so that not all come at once
        return after

    def _tell(self, key: Key, outcome: PassResult) -> None:
        status = outcome.status
        self._known[key] = status
        current_release.set((key, status))
        self.observer.passed(key, status)
        said = (status.phase, status.reason, status.weight, status.step)
        if status.message and self._said.get(key) != said:
            self._said[key] = said
            _log.info("%s", status.message, extra={"reason": status.reason.value})

    def _failed(self, key: Key, error: CanaryError) -> ReconcileResult | None:
        if isinstance(error, NotFoundError) and not self.exists(key):
            return self._gone(key)
        if isinstance(error, TransientError):
            return self._transient(error)
        return self._refused(key, Reason.API_REFUSED, _describe_error(error))

    def _transient(self, error: TransientError) -> ReconcileResult:
        if isinstance(error, ConflictError):
            _log.debug("%s; looking again", error)
            return ReconcileResult(0.0, failed=True)
        if isinstance(error, NotLeaderError):
            _log.info("%s", error)
        else:
            _log.warning("%s; trying again", error)
        return ReconcileResult(error.retry_after, failed=True)

    def _refused(self, key: Key, reason: Reason, message: str) -> ReconcileResult:
        """Trying again changes nothing: said in the status, in the log and as one Event."""
        if self._said.get(key) != (reason, message):
            self._said[key] = (reason, message)
            _log.error("%s", message, extra={"reason": reason.value})
        self.warn(key, reason, message)
        try:
            self.refusals.refuse(key, message, self.clock.now(), reason)
        except CanaryError as error:
            _log.warning("the status could not say so: %s", error)
        return ReconcileResult(REFUSED_RETRY)

    def _gone(self, key: Key) -> ReconcileResult | None:
        try:
            self.abandon(key)
        except TransientError as error:
            return self._transient(error)
        except CanaryError as error:
            _log.warning("what the release had marked could not be let go: %s", error)
        for kept in (self._said, self._known):
            kept.pop(key, None)
        self.worlds.forget(key)
        self.forget(key)
        self.observer.gone(key)
        return RELEASE_DELETED


def seconds_to_next_pass(outcome: PassResult, sample_due: float | None) -> float | None:
    """Seconds until the next pass; None: only when something changes.

    `sample_due` is in how many seconds there is a new sample, where that is known. A pass for one
    that is late comes after the analysis interval.
    """
    after = outcome.requeue_after
    if after is None or outcome.status.intent is Intent.REST:
        return after
    if sample_due is None or sample_due <= 0:
        return after
    return min(sample_due, outcome.sample_within or after)


def _describe_error(error: CanaryError) -> str:
    """One line; of a spec's problems the first, and how many more there are."""
    if isinstance(error, SpecError) and error.problems:
        first, *more = error.problems
        rest = f" (and {len(more)} more)" if more else ""
        return f"{first.where}: {first.message}{rest}."
    return " ".join(str(error).split())
