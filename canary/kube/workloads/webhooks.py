"""Webhooks as checks: asked off the reconcile thread, once per release."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus

import requests

from canary.api import CheckStatus, Verdict

Ask = Callable[[str, Mapping[str, str], float], tuple[int, str]]
"""Posts JSON to a URL within a time (seconds): status code and beginning of the body."""

_KEPT = 500
_CHARACTERS = 200


def post_json(url: str, body: Mapping[str, str], timeout: float) -> tuple[int, str]:
    """Posts without following redirects. Raises requests.RequestException."""
    with requests.post(
        url, json=dict(body), timeout=(min(timeout, 5.0), timeout), allow_redirects=False
    ) as answer:
        return answer.status_code, answer.text[:_CHARACTERS]


class Webhooks:
    """Asks in threads of its own, and remembers the answers.

    After a restart a webhook that had not passed is asked again, with the same `id`.
    """

    def __init__(self, ask: Ask = post_json, threads: int = 4) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._lock = threading.Lock()
        self._asked: dict[str, Future[CheckStatus]] = {}

    def start(self, check: str, url: str, timeout: float, body: Mapping[str, str]) -> None:
        """Asks; `body["id"]` names the question, and the same one is asked once."""
        with self._lock:
            if body["id"] in self._asked:
                return
            for old in list(self._asked)[: max(0, len(self._asked) - _KEPT)]:
                del self._asked[old]
            self._asked[body["id"]] = self._pool.submit(self._answer, check, url, timeout, body)

    def result(self, check: str, question: str) -> CheckStatus | None:
        """The answer to the question with this id; None while it has not been asked."""
        with self._lock:
            future = self._asked.get(question)
        if future is None:
            return None
        if not future.done():
            return CheckStatus(name=check, message="waiting for the answer")
        return future.result()

    def close(self, *, wait: bool = False) -> None:
        """Asks no more; what is under way is left to its time-out unless it is waited for."""
        self._pool.shutdown(wait=wait, cancel_futures=not wait)

    def _answer(self, check: str, url: str, timeout: float, body: Mapping[str, str]) -> CheckStatus:
        try:
            code, words = self._ask(url, body, timeout)
        except (requests.RequestException, OSError) as error:
            return CheckStatus(name=check, verdict=Verdict.NO_DATA, message=str(error))
        return CheckStatus(
            name=check, verdict=_verdict_of_status(code), message=_describe_response(code, words)
        )


def _verdict_of_status(code: int) -> Verdict:
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.PASS
    if HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict.FAIL
    return Verdict.NO_DATA


def _describe_response(code: int, words: str) -> str:
    """What is no refusal is not repeated: the status is no window into other people's servers."""
    refused = _verdict_of_status(code) is Verdict.FAIL
    return f"HTTP {code}: {words.strip()}" if refused and words.strip() else f"HTTP {code}"
