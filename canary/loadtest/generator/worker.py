"""`python -m canary.loadtest.generator.worker FD`: one process of a load; a pipe says what to do.

Comes in: a plan with the worker's number, then the start time (monotonic clock, which all processes
of a machine share); after that anything, or the pipe's end, means to stop. Goes out: None when
ready, a Second each second, None at the end.
"""

import gc
import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from canary.loadtest.generator.engine import LoadEngine
from canary.loadtest.generator.file_limit import count_files_needed, raise_file_limit


def run_worker(pipe: Connection) -> None:
    """Does what comes in."""
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
    os._exit(0)  # without tidying up what no request waits for
