"""Reconciles one release: handles errors, logs changes, and returns when to reconcile again."""

import logging
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from canary.api import Intent, Reason, SpecError, Status
from canary.core.analysis import find_judging_start
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
"""Seconds, with jitter, after which a release at rest is reconciled without any change."""
REFUSED_RETRY: Final = 60.0
"""Seconds until a refused request is retried, for example one that lacks a permission."""
current_release: ContextVar[tuple[Key, Status | None] | None] = ContextVar("pass", default=None)
"""The release that this thread reconciles, with its last known status, for log lines."""


class RefusalWriter(Protocol):
    """Reports in the status that a release is invalid: canary.kube.releases.KubeReleases."""

    def refuse(self, key: Key, message: str, now: float, reason: Reason = ...) -> None:
        """Write the message to the status, unless it is there already."""
        ...


class ReconcileObserver(Protocol):
    """Receives the result of each reconcile, for metrics."""

    def record_status(self, key: Key, status: Status) -> None:
        """Record the status of a release after a reconcile."""
        ...

    def remove_release(self, key: Key) -> None:
        """Drop a release that no longer exists."""
        ...

    def observe_duration(self, result: str, seconds: float) -> None:
        """Record the seconds of one reconcile; `result` is success or error."""
        ...


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """When to reconcile the release next."""

    after: float
    """Seconds until the next reconcile; the minimum if `failed`."""
    failed: bool = False
    """Whether to back off, for longer after each failure of this release."""


RELEASE_DELETED = None
"""Returned in place of a ReconcileResult when the release no longer exists."""


@dataclass
class ReleaseReconciler:
    """Reconciles releases; never raises."""

    worlds: WorldFactory
    refusals: RefusalWriter
    clock: Clock
    warn: Callable[[Key, Reason, str], None]
    exists: Callable[[Key], bool]
    abandon: Callable[[Key], None]
    """Unmanages the targets of a deleted release; may raise CanaryError."""
    forget: Callable[[Key], None]
    observer: ReconcileObserver
    resync: float = RESYNC
    _last_logged: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    _known: dict[Key, Status] = field(default_factory=dict)

    def run(self, key: Key) -> ReconcileResult | None:
        """Reconcile one release; None when it no longer exists."""
        began = self.clock.now()
        token = current_release.set((key, self._known.get(key)))
        result: ReconcileResult | None = None
        try:
            result = self._handle_errors(key)
        finally:
            current_release.reset(token)
            label = "error" if result and result.failed else "success"
            self.observer.observe_duration(label, self.clock.now() - began)
        return result

    def _handle_errors(self, key: Key) -> ReconcileResult | None:
        try:
            return self._reconcile_release(key)
        except UsageError as error:
            return self._report_refusal(key, Reason.INVALID_SPEC, _describe_error(error))
        except (TransientError, NotFoundError, PermanentError) as error:
            return self._handle_failure(key, error)
        except Exception:  # noqa: BLE001  # an error of one release must not stop the others
            _log.exception("unexpected error while reconciling")
            return ReconcileResult(1.0, failed=True)

    def _reconcile_release(self, key: Key) -> ReconcileResult:
        world, source = self.worlds.get_world(key)
        outcome = reconcile(world, key)
        source.follow(outcome.status, outcome.judged_until)
        self._record_status(key, outcome)
        refused = outcome.done.refused
        if refused is not None:
            return self._plan_retry(refused)
        return ReconcileResult(self._seconds_until_next(outcome, source))

    def _seconds_until_next(self, outcome: PassResult, source: SelectedSource) -> float:
        due = None if outcome.requeue_after is None else source.seconds_until_due(self.clock.now())
        after = seconds_to_next_reconcile(outcome, due)
        if after is None:
            return self.resync * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, so that not all are due together
        return after

    def _record_status(self, key: Key, outcome: PassResult) -> None:
        status = outcome.status
        self._known[key] = status
        current_release.set((key, status))
        self.observer.record_status(key, status)
        logged = (status.phase, status.reason, status.weight, status.step)
        if status.message and self._last_logged.get(key) != logged:
            self._last_logged[key] = logged
            _log.info("%s", status.message, extra={"reason": status.reason.value})

    def _handle_failure(self, key: Key, error: CanaryError) -> ReconcileResult | None:
        if isinstance(error, NotFoundError) and not self.exists(key):
            return self._forget_deleted(key)
        if isinstance(error, TransientError):
            return self._plan_retry(error)
        return self._report_refusal(key, Reason.API_REFUSED, _describe_error(error))

    def _plan_retry(self, error: TransientError) -> ReconcileResult:
        if isinstance(error, ConflictError):
            _log.debug("%s; reconciling again", error)
            return ReconcileResult(0.0, failed=True)
        if isinstance(error, NotLeaderError):
            _log.info("%s", error)
        else:
            _log.warning("%s; retrying", error)
        return ReconcileResult(error.retry_after, failed=True)

    def _report_refusal(self, key: Key, reason: Reason, message: str) -> ReconcileResult:
        """Report an error that a retry cannot solve, in the status, the log and an Event."""
        if self._last_logged.get(key) != (reason, message):
            self._last_logged[key] = (reason, message)
            _log.error("%s", message, extra={"reason": reason.value})
        self.warn(key, reason, message)
        try:
            self.refusals.refuse(key, message, self.clock.now(), reason)
        except CanaryError as error:
            _log.warning("cannot write the error to the status: %s", error)
        return ReconcileResult(REFUSED_RETRY)

    def _forget_deleted(self, key: Key) -> ReconcileResult | None:
        try:
            self.abandon(key)
        except TransientError as error:
            return self._plan_retry(error)
        except CanaryError as error:
            _log.warning("cannot unmanage the target of a deleted release: %s", error)
        for kept in (self._last_logged, self._known):
            kept.pop(key, None)
        self.worlds.forget(key)
        self.forget(key)
        self.observer.remove_release(key)
        return RELEASE_DELETED


def seconds_to_next_reconcile(outcome: PassResult, sample_due: float | None) -> float | None:
    """Return the seconds until the next reconcile; None: only after a change.

    Every change of an object triggers a reconcile, so a plan that waits for a change is repeated
    only at its time limit. `sample_due` is the number of seconds until the next sample, if known.
    If the sample is late, the next reconcile follows after `requeue_after`.
    """
    after, status = outcome.requeue_after, outcome.status
    if after is None or status.intent is Intent.REST:
        return after
    longest = after if outcome.wait_at_most is None else outcome.wait_at_most
    if find_judging_start(status) is None:
        return longest
    next_sample = after if sample_due is None or sample_due <= 0 else sample_due
    return min(next_sample, longest)


def _describe_error(error: CanaryError) -> str:
    """Describe an error in one line: of a spec, the first problem and the number of others."""
    if isinstance(error, SpecError) and error.problems:
        first, *more = error.problems
        rest = f" (and {len(more)} more)" if more else ""
        return f"{first.where}: {first.message}{rest}."
    return " ".join(str(error).split())
