"""Runs `canary` with a leak on purpose, to show that `bench.soak` finds it: `… operator …`."""

import threading
from pathlib import Path

from canary.cli.entry import run

_EVERY = 10.0


def main() -> None:
    """Run canary; keep 200 KiB, a file and a thread every 10 s."""
    threading.Thread(target=_leak, args=([],), daemon=True).start()
    run()


def _leak(kept: list[object]) -> None:
    never = threading.Event()
    while not never.wait(_EVERY):
        kept += [bytearray(b"x" * (200 << 10)), Path("/dev/null").open("rb")]  # noqa: SIM115
        threading.Thread(target=never.wait, daemon=True).start()


if __name__ == "__main__":
    main()
