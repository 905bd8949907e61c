"""One call to the API server: tried again where that is safe, never beyond what we may do."""

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
"""Nothing was carried out, so even a create may be sent again."""
_jitter = wait_random_exponential(multiplier=0.2, max=2.0)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often one call is tried; seconds."""

    timeouts: RequestTimeouts = field(default_factory=RequestTimeouts)
    attempts: int = 4
    budget: float = 8.0
    """No attempt starts later than this after the first: a worker must not be blocked for long."""
    quiet: float = 90.0
    """A watch on which nothing came for so long is dead: bookmarks come every 75 s at least."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends requests through a transport under a policy.

    `remaining` says for how many seconds we may still write; None means always.
    """

    transport: Transport
    policy: RetryPolicy
    stopper: Stopper
    remaining: Callable[[], float] | None = None

    def call(
        self,
        deed: ApiOperation,
        request: ApiRequest,
        *,
        repeatable: bool = False,
        accept: Collection[int] = (),
    ) -> ApiResponse:
        """An answer with a status below 300, or one of `accept`. Raises the errors of `Objects`.

        A write is sent again after a lost answer only when it is `repeatable`.
        """
        safe = (*_UNDONE, ResponseLostError) if repeatable or deed.verb in _READS else _UNDONE
        retrying = Retrying(
            stop=stop_any(
                stop_after_attempt(self.policy.attempts), stop_before_delay(self.policy.budget)
            ),
            wait=_wait_seconds,
            retry=lambda state: isinstance(_exception_of(state), safe) and not self.stopper.stopped,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._attempt, deed, request, accept)

    def stream(self, deed: ApiOperation, request: ApiRequest) -> ResponseStream:
        """An answer that goes on; one attempt, for its reader has its own backoff."""
        limits = replace(self.policy.timeouts, read=self.policy.quiet)
        found = self.transport.stream(request, limits, deed)
        if isinstance(found, ApiResponse) and found.status == HTTPStatus.UNAUTHORIZED:
            self.transport.renew()
            found = self.transport.stream(request, limits, deed)
        if isinstance(found, ApiResponse):
            raise error_from_response(found, deed)
        return found

    def _sleep(self, seconds: float) -> None:
        self.stopper.sleep(seconds)

    def _attempt(
        self, deed: ApiOperation, request: ApiRequest, accept: Collection[int]
    ) -> ApiResponse:
        answer = self.transport.send(request, self._timeouts(deed), deed)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.transport.renew()
            answer = self.transport.send(request, self._timeouts(deed), deed)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in accept:
            return answer
        raise error_from_response(answer, deed)

    def _timeouts(self, deed: ApiOperation) -> RequestTimeouts:
        """The policy's; those of a write end before the right to write does."""
        limits = self.policy.timeouts
        if self.remaining is None or deed.verb in _READS:
            return limits
        left = self.remaining()
        if left <= 0:
            raise NotLeaderError(f"cannot {deed}: this replica does not hold the lease")
        return replace(limits, connect=min(limits.connect, left), read=min(limits.read, left))


def _exception_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _wait_seconds(state: RetryCallState) -> float:
    """Seconds: what the server asks for, or exponential with full jitter."""
    error = _exception_of(state)
    jitter = float(_jitter(state))
    return error.retry_after + jitter if isinstance(error, BusyError) else jitter
