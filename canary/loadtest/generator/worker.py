"""`python -m canary.loadtest.generator.worker FD`: one process of a load, controlled by a pipe.

It receives a plan and its own number, then the start time (monotonic clock, which all processes of
a machine share); any further message, or the end of the pipe, stops it. It sends None when it is
ready, a WorkerSecond each second, and None at the end.
"""

import gc
import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from canary.loadtest.generator.engine import LoadEngine
from canary.loadtest.generator.file_limit import count_files_needed, raise_file_limit


def run_worker(pipe: Connection) -> None:
    """Send the load that the pipe describes."""
    plan, worker = pipe.recv()
    raise_file_limit(count_files_needed(plan))
    engine = LoadEngine(plan, worker, pipe.send)
    pipe.send(None)
    start: float = pipe.recv()
    gc.freeze()
    engine.run(start, pipe.fileno())
    pipe.send(None)


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        run_worker(Connection(int(sys.argv[1])))
    os._exit(0)  # skips the slow clean-up of thousands of handles
