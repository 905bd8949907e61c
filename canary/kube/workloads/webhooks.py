"""Runs webhook checks: calls each webhook once per attempt, in a thread pool of its own."""

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

PostJson = Callable[[str, Mapping[str, str], float], int]
"""Posts JSON to a URL with a time-out in seconds, and returns the status code."""

_KEPT = 500
_MAX_TIMEOUT = 300.0
"""Upper limit in seconds for a webhook's time-out."""


def build_poster(rules: AddressRules) -> PostJson:
    """Return a function that posts to allowed addresses, and ignores response bodies."""
    client = HttpClient(rules, Limits(connect=5.0, read=_MAX_TIMEOUT, whole=_MAX_TIMEOUT))

    def post(url: str, body: Mapping[str, str], timeout: float) -> int:
        headers = {"Content-Type": "application/json"}
        content = json.dumps(dict(body)).encode()
        return client.send("POST", url, headers, content, timeout).status

    return post


class Webhooks:
    """Calls webhooks in threads of its own, and keeps their results.

    Each namespace has a share of the threads, so that slow checks of one do not delay the others.
    After a restart a webhook that had not passed is called again, with the same `id`.
    """

    def __init__(self, post: PostJson, threads: int = 16, share: int = 2) -> None:
        self._post = post
        self._pool = FairExecutor(threads, share, "webhook")
        self._lock = threading.Lock()
        self._results: dict[str, Future[CheckStatus]] = {}

    def start(self, check: str, url: str, timeout: float, body: Mapping[str, str]) -> None:
        """Call the webhook, once per `body["id"]`."""
        with self._lock:
            if body["id"] in self._results:
                return
            for old in list(self._results)[: max(0, len(self._results) - _KEPT)]:
                del self._results[old]
            self._results[body["id"]] = self._pool.submit(
                body["namespace"], lambda: self._call_webhook(check, url, timeout, body)
            )

    def result(self, check: str, attempt_id: str) -> CheckStatus | None:
        """Return the result of the call with this id; None when there was no call."""
        with self._lock:
            future = self._results.get(attempt_id)
        if future is None:
            return None
        if not future.done():
            return CheckStatus(name=check, message="waiting for the answer")
        try:
            return future.result()
        except CrowdedError as error:  # the next reconcile calls it again
            with self._lock:
                self._results.pop(attempt_id, None)
            return CheckStatus(name=check, message=f"waiting: {error}")

    def close(self) -> None:
        """Start no more calls; running calls end with their time-outs."""
        self._pool.close()

    def _call_webhook(
        self, check: str, url: str, timeout: float, body: Mapping[str, str]
    ) -> CheckStatus:
        try:
            code = self._post(url, body, timeout)
        except CanaryError as error:
            return CheckStatus(name=check, verdict=Verdict.NO_DATA, message=str(error))
        # Never the body: a status must not show the content of other servers.
        return CheckStatus(name=check, verdict=_verdict_of_status(code), message=f"HTTP {code}")


def _verdict_of_status(code: int) -> Verdict:
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.PASS
    if HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict.FAIL
    return Verdict.NO_DATA
