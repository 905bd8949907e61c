"""How the process uses memory: garbage collection, and what the C library keeps of freed memory."""

import ctypes
import gc
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_ARENA_MAX: Final = -8
"""Parameters of glibc's mallopt (malloc.h)."""
MOST_ARENAS: Final = 2
_KEPT: Final = 128 << 10
"""Bytes of freed memory that an arena keeps: glibc's default, which otherwise rises by itself."""


def return_freed_memory() -> None:
    """Make glibc return freed memory to the system; call it before the first thread is started.

    Buffers of answers and objects are large and short-lived. By default, eight arenas per core
    take turns in serving the threads, and each keeps up to 64 MiB of what is freed in it. So the
    process grows for hours without holding more. The arenas exist for threads that allocate at
    the same time, which Python's lock prevents. Other C libraries have no arenas.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, MOST_ARENAS)
        mallopt(_TRIM_THRESHOLD, _KEPT)


def relieve_garbage_collector() -> None:
    """Exclude all objects that exist now from garbage collection, and collect less often.

    Responses of Prometheus are thousands of small objects without cycles. With Python's threshold
    of 700, each would trigger tens of collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
