"""The machine's clock. Other code gets the time as an argument."""

import time


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return now()


def now() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - the one Clock of the program
