"""Webhooks as checks: asked off the reconcile thread, once per release."""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from canary.api import CheckStatus, Verdict
from canary.errors import CanaryError
from canary.fair_executor import CrowdedError, FairExecutor
from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits

if TYPE_CHECKING:
    from concurrent.futures import Future

Ask = Callable[[str, Mapping[str, str], float], int]
"""Posts JSON to a URL within a time (seconds): the status code."""

_KEPT = 500
_LONGEST = 300.0
"""Seconds that a check may take to answer; its own time-out is shorter as a rule."""


def poster(rules: AddressRules) -> Ask:
    """Posts to addresses that the rules allow, and does not read the answer's body."""
    client = HttpClient(rules, Limits(connect=5.0, read=_LONGEST, whole=_LONGEST))

    def post(url: str, body: Mapping[str, str], timeout: float) -> int:
        headers = {"Content-Type": "application/json"}
        content = json.dumps(dict(body)).encode()
        return client.send("POST", url, headers, content, timeout).status

    return post


class Webhooks:
    """Asks in threads of its own, and remembers the answers.

    Each namespace has a share of the threads, so that slow checks of one keep no other waiting.
    After a restart a webhook that had not passed is asked again, with the same `id`.
    """

    def __init__(self, ask: Ask, threads: int = 16, share: int = 2) -> None:
        self._ask = ask
        self._pool = FairExecutor(threads, share, "webhook")
        self._lock = threading.Lock()
        self._asked: dict[str, Future[CheckStatus]] = {}

    def start(self, check: str, url: str, timeout: float, body: Mapping[str, str]) -> None:
        """Asks; `body["id"]` names the question, and the same one is asked once."""
        with self._lock:
            if body["id"] in self._asked:
                return
            for old in list(self._asked)[: max(0, len(self._asked) - _KEPT)]:
                del self._asked[old]
            self._asked[body["id"]] = self._pool.submit(
                body["namespace"], lambda: self._answer(check, url, timeout, body)
            )

    def result(self, check: str, question: str) -> CheckStatus | None:
        """The answer to the question with this id; None while it has not been asked."""
        with self._lock:
            future = self._asked.get(question)
        if future is None:
            return None
        if not future.done():
            return CheckStatus(name=check, message="waiting for the answer")
        try:
            return future.result()
        except CrowdedError as error:  # asked again at the next look
            with self._lock:
                self._asked.pop(question, None)
            return CheckStatus(name=check, message=f"waiting: {error}")

    def close(self) -> None:
        """Asks no more; what is under way is left to its time-out."""
        self._pool.close()

    def _answer(self, check: str, url: str, timeout: float, body: Mapping[str, str]) -> CheckStatus:
        try:
            code = self._ask(url, body, timeout)
        except CanaryError as error:
            return CheckStatus(name=check, verdict=Verdict.NO_DATA, message=str(error))
        # Nothing of the body: the status is no window into other people's servers.
        return CheckStatus(name=check, verdict=_verdict_of_status(code), message=f"HTTP {code}")


def _verdict_of_status(code: int) -> Verdict:
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.PASS
    if HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict.FAIL
    return Verdict.NO_DATA
