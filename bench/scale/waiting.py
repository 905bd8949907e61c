"""Waits for conditions."""

from collections.abc import Callable
from threading import Event

from canary.clock import now


def wait_until(
    what: str, holds: Callable[[], bool], seconds: float, *, every: float = 0.1
) -> float:
    """Wait until it holds; return how many seconds that took. Raises TimeoutError."""
    began, pause = now(), Event()
    while not holds():
        if now() - began > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        pause.wait(every)
    return now() - began


def wait_for_progress(what: str, remaining: Callable[[], int], seconds: float = 300.0) -> None:
    """Wait until nothing remains.

    Raises TimeoutError if what remains has not become less for `seconds`: a busy machine is slow.
    """
    least, since, pause = remaining(), now(), Event()
    while least:
        if now() - since > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}: {least} are left")
        pause.wait(0.2)
        if (left := remaining()) < least:
            least, since = left, now()
