"""The time, for commands; what is computed from it takes it as an argument."""

import time


def now() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - this is the Clock that the commands ask
