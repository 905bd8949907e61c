"""Monotonic time and waiting, which tests replace and a shutdown interrupts."""

import threading
import time
from typing import Protocol


class Timing(Protocol):
    """A monotonic clock, and waiting by it."""

    def now(self) -> float:
        """Return seconds since an arbitrary moment; only differences are meaningful."""
        ...

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait at most `seconds` on a condition whose lock is held; may return early."""
        ...


class SystemTiming:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return seconds since an arbitrary moment."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """See Timing."""
        condition.wait(seconds)


class Stopper:
    """A stop flag, and sleeps that end when it is set."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self._condition = threading.Condition()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """Set the flag and end all sleeps."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def sleep(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until stopped. Return whether it was stopped."""
        end = self.timing.now() + seconds
        with self._condition:
            while not self._stopped and (left := end - self.timing.now()) > 0:
                self.timing.wait(self._condition, left)
            return self._stopped
