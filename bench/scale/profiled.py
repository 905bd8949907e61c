"""Runs a command of canary and writes where its threads spend time: `… FILE operator …`.

Samples the stacks of all threads every 5 ms, and counts those that are on a CPU by Python's own
account: a thread that waits in a lock or a socket is left out. The file has collapsed stacks, and
after them the functions by the share of samples in which they are on the stack.
"""

import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from canary.cli.entry import run

_EVERY = 0.005
_WAITING = {
    "wait",
    "read",
    "readinto",
    "recv_into",
    "select",
    "accept",
    "acquire",
    "_worker",
    "poll",
}


def main() -> None:
    """Run the command and write the profile at its end."""
    file = Path(sys.argv.pop(1))
    stop, counts = threading.Event(), Counter[str]()
    thread = threading.Thread(target=_sample, args=(stop, counts), daemon=True)
    thread.start()
    try:
        run()
    finally:
        stop.set()
        thread.join(1.0)
        file.with_suffix(f".{os.getpid()}").write_text("\n".join(_report(counts)))


def _sample(stop: threading.Event, counts: Counter[str]) -> None:
    while not stop.wait(_EVERY):
        own = threading.get_ident()
        for number, frame in sys._current_frames().items():  # noqa: SLF001 - the only way
            if number != own and frame.f_code.co_name not in _WAITING:
                counts[_stack(frame)] += 1


def _stack(frame: FrameType | None) -> str:
    names = []
    while frame is not None:
        names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return ";".join(reversed(names))


def _report(counts: Counter[str]) -> list[str]:
    total = sum(counts.values()) or 1
    inclusive: Counter[str] = Counter()
    for stack, count in counts.items():
        for name in set(stack.split(";")):
            inclusive[name] += count
    lines = [f"{count / total:6.1%} {name}" for name, count in inclusive.most_common(80)]
    return [
        f"CPU {time.process_time():.2f} s, {total} samples",
        *lines,
        "",
        *map(str, counts.most_common(60)),
    ]


if __name__ == "__main__":
    main()
