"""Time that passes only when somebody waits for it."""

import threading
from collections import deque
from collections.abc import Callable


class ManualTiming:
    """A wait lasts no time and moves the clock on.

    Who waits for ever gets the next of `then`, whatever somebody else would do meanwhile.
    """

    def __init__(self, *then: Callable[[], object]) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self.then = deque(then)

    def now(self) -> float:
        return self.time

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        _ = condition
        if seconds is None:
            assert self.then, "this would wait for ever"
            self.then.popleft()()
        else:
            self.waits.append(seconds)
            self.time += seconds
