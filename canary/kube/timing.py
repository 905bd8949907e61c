"""Waiting that tests can turn by hand and shutdown can end at once."""

import threading
import time
from typing import Protocol


class Timing(Protocol):
    """A clock that never jumps, and waiting by it."""

    def now(self) -> float:
        """Seconds since some moment; only differences mean anything."""
        ...

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Waits on a condition that the caller holds, at most so long; may return early."""
        ...


class SystemTiming:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some moment in the past."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """As in Timing."""
        condition.wait(seconds)


class Stopper:
    """A flag that is raised once, and sleeps that end when it is."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self._condition = threading.Condition()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """Raises the flag and wakes everybody."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def sleep(self, seconds: float) -> bool:
        """Waits so long, or until stopped. Returns whether it was stopped."""
        end = self.timing.now() + seconds
        with self._condition:
            while not self._stopped and (left := end - self.timing.now()) > 0:
                self.timing.wait(self._condition, left)
            return self._stopped
