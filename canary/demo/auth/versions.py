"""The versions of the service, selected by a switch: each one simulates a defect of a release."""

import os
import random
from dataclasses import dataclass
from itertools import count

from anyio import current_time, sleep
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from canary.errors import UsageError

DEFAULT_ERROR_RATE = 0.05
DEFAULT_DELAY = 0.75
MAX_DELAY = 60.0
"""Maximum seconds of a simulated delay; no client waits longer."""
DEFAULT_CRASH_AT = 3
DEFAULT_HICCUP_RATE = 0.3
HICCUP_SECONDS, HICCUP_EVERY = 8.0, 60.0


@dataclass(frozen=True, slots=True)
class ServiceVersion:
    """The defects of a version; none by default."""

    leaks: bool = False
    refuses: bool = False
    """Answers every request with status 401."""
    error_rate: float = 0.0
    """Share (0–1) of requests answered with 500."""
    delay: float = 0.0
    """Seconds added to each request."""
    crash_at: int = 0
    """The request at which the process dies; 0: never."""
    hiccup_rate: float = 0.0
    """Share (0–1) of requests answered with 500 for 8 s of every 60 s, like short hiccups."""


def parse_version(text: str) -> ServiceVersion:
    """Parse a switch such as `good`, `refuse`, `errors:0.05`, `slow:0.75` or `crash:3`.

    Raises:
        UsageError: an unknown switch; lists the known ones.
    """
    name, _, value = text.partition(":")
    try:
        found = _find_version(name, value)
    except ValueError:
        found = None
    if found is None:
        raise UsageError(
            f"unknown version {text!r}: expected good, leak, refuse, errors[:RATE from 0 to 1], "
            "slow[:SECONDS from 0 to 60], crash[:NUMBER OF THE REQUEST] "
            "or hiccups[:RATE from 0 to 1]"
        )
    return found


def _find_version(name: str, value: str) -> ServiceVersion | None:
    """Return the version; None if it is unknown. Raises ValueError for an invalid number."""
    match name:
        case "good" | "leak" | "refuse" if not value:
            return ServiceVersion(leaks=name == "leak", refuses=name == "refuse")
        case "errors":
            rate = float(value or DEFAULT_ERROR_RATE)
            return ServiceVersion(error_rate=rate) if 0 <= rate <= 1 else None
        case "slow":
            delay = float(value or DEFAULT_DELAY)
            return ServiceVersion(delay=delay) if 0 <= delay <= MAX_DELAY else None
        case "crash":
            crash_at = int(value or DEFAULT_CRASH_AT)
            return ServiceVersion(crash_at=crash_at) if crash_at > 0 else None
        case "hiccups":
            rate = float(value or DEFAULT_HICCUP_RATE)
            return ServiceVersion(hiccup_rate=rate) if 0 <= rate <= 1 else None
        case _:
            return None


class FaultyApp:
    """Adds the defects of a version to an application; `seed` decides which requests fail."""

    def __init__(self, app: ASGIApp, version: ServiceVersion, seed: str) -> None:
        self._app = app
        self._version = version
        self._random = random.Random(seed)  # noqa: S311  # reproducible, and no secret
        self._requests = count(1)
        self._phase = self._random.random() * HICCUP_EVERY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if next(self._requests) == self._version.crash_at:
            os._exit(1)
        if self._version.delay:
            await sleep(self._version.delay)
        if self._version.refuses:
            refusal = JSONResponse({"error": "wrong name or password"}, 401)
            await refusal(scope, receive, send)
            return
        if self._random.random() < self._error_rate():
            failure = JSONResponse({"error": "internal error"}, 500)
            await failure(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _error_rate(self) -> float:
        """Return the current error rate; each process has its own phase of hiccups."""
        if not self._version.hiccup_rate:
            return self._version.error_rate
        pausing = (current_time() + self._phase) % HICCUP_EVERY < HICCUP_SECONDS
        return self._version.hiccup_rate if pausing else 0.0
