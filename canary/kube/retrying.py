"""Calls to the API server, with retries where they are safe and while the lease is held."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)

from canary.errors import CanaryError, drop_frames
from canary.kube.api_errors import (
    ApiOperation,
    ApiResponse,
    BusyError,
    NotLeaderError,
    ResponseLostError,
    UnreachableError,
    error_from_response,
)
from canary.kube.timing import Stopper
from canary.kube.transport import ApiRequest, RequestTimeouts, ResponseStream, Transport

_READS: Final = frozenset({"get", "list", "watch"})
_UNDONE: Final = (UnreachableError, BusyError)
"""The server did not process the request, so even a create may be repeated."""
_jitter = wait_random_exponential(multiplier=0.2, max=2.0)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Time-outs and retries of one call; in seconds."""

    timeouts: RequestTimeouts = field(default_factory=RequestTimeouts)
    attempts: int = 4
    budget: float = 8.0
    """No attempt starts later than this after the first, so that no worker is blocked for long."""
    quiet: float = 90.0
    """A watch without any event for this long is dead: bookmarks come at least every 75 s."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends requests through a transport under a retry policy.

    `remaining` returns for how many seconds this replica may still write; None: without limit.
    """

    transport: Transport
    policy: RetryPolicy
    stopper: Stopper
    remaining: Callable[[], float] | None = None

    def call(
        self,
        operation: ApiOperation,
        request: ApiRequest,
        *,
        repeatable: bool = False,
        accept: Collection[int] = (),
    ) -> ApiResponse:
        """Return a response with a status below 300 or in `accept`. Raises the errors of `Objects`.

        A write is repeated after a lost response only when it is `repeatable`.
        """
        safe = (*_UNDONE, ResponseLostError) if repeatable or operation.verb in _READS else _UNDONE
        retrying = Retrying(
            stop=stop_any(
                stop_after_attempt(self.policy.attempts), stop_before_delay(self.policy.budget)
            ),
            wait=_wait_seconds,
            retry=lambda state: isinstance(_exception_of(state), safe) and not self.stopper.stopped,
            sleep=self._sleep_seconds,
            reraise=True,
        )
        try:
            return retrying(self._send_once, operation, request, accept)
        except CanaryError as error:
            raise drop_frames(error) from error.__cause__

    def stream(self, operation: ApiOperation, request: ApiRequest) -> ResponseStream:
        """Open a streaming response, with one attempt: its reader retries with its own backoff."""
        limits = replace(self.policy.timeouts, read=self.policy.quiet)
        found = self.transport.stream(request, limits, operation)
        if isinstance(found, ApiResponse) and found.status == HTTPStatus.UNAUTHORIZED:
            self.transport.renew()
            found = self.transport.stream(request, limits, operation)
        if isinstance(found, ApiResponse):
            raise error_from_response(found, operation)
        return found

    def _sleep_seconds(self, seconds: float) -> None:
        self.stopper.sleep(seconds)

    def _send_once(
        self, operation: ApiOperation, request: ApiRequest, accept: Collection[int]
    ) -> ApiResponse:
        answer = self.transport.send(request, self._limit_timeouts(operation), operation)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.transport.renew()
            answer = self.transport.send(request, self._limit_timeouts(operation), operation)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in accept:
            return answer
        raise error_from_response(answer, operation)

    def _limit_timeouts(self, operation: ApiOperation) -> RequestTimeouts:
        """Return the policy's time-outs; those of a write end before the right to write does."""
        limits = self.policy.timeouts
        if self.remaining is None or operation.verb in _READS:
            return limits
        left = self.remaining()
        if left <= 0:
            raise NotLeaderError(f"cannot {operation}: this replica does not hold the lease")
        return replace(limits, connect=min(limits.connect, left), read=min(limits.read, left))


def _exception_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _wait_seconds(state: RetryCallState) -> float:
    """Return seconds: exponential with full jitter, on top of what the server asks for."""
    error = _exception_of(state)
    jitter = float(_jitter(state))
    return error.retry_after + jitter if isinstance(error, BusyError) else jitter
