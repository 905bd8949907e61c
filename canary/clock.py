"""The machine's clock. What is computed from the time takes it as an argument."""

import time


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return now()


def now() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - the one Clock of the program
