"""How long commands take as whole processes: `python -m bench.cli [--runs N] [--write]`."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/benchmarks.md"
START, END = "<!-- bench-cli:start -->", "<!-- bench-cli:end -->"
ASKED = {
    "--help": 0.25,
    "--version": 0.25,
    "lint docs/examples/auth.yaml": 0.6,
    "lint docs/examples/misspelt.yaml": 0.6,
    "get --help": None,
    "manifests crd": None,
}
"""Seconds that are asked for, where they are."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One command: the least of all runs, in seconds."""

    command: str
    wall: float
    processor: float
    asked: float | None

    @property
    def ok(self) -> bool:
        """Quick enough."""
        return self.asked is None or self.wall <= self.asked


def timed(command: str, asked: float | None, runs: int) -> Timed:
    """Starts it so often; the least time is the one without the machine's other work."""
    found = [_once(command.split()) for _ in range(runs)]
    walls, processors = zip(*found, strict=True)
    return Timed(command, min(walls), min(processors), asked)


def _once(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds until it has ended, and of the processor."""
    program = str(Path(sys.executable).parent / "canary")
    began = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 - our own program
        [program, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = 0
    return wall, used.ru_utime + used.ru_stime


def lines(measured: Sequence[Timed], runs: int) -> Iterator[str]:
    """The table."""
    yield f"Whole processes, the least of {runs} runs each, {os.cpu_count()} cores."
    yield ""
    yield "| command | seconds | of the processor | asked | |"
    yield "|---|---|---|---|---|"
    for one in measured:
        asked = "–" if one.asked is None else f"≤ {one.asked:g}"
        word = "ok" if one.ok else "**slower**"
        figures = f"{one.wall:.2f} | {one.processor:.2f} | {asked} | {word}"
        yield f"| `canary {one.command}` | {figures} |"


def write(table: str) -> None:
    """Replaces what stands between the markers of docs/benchmarks.md.

    Raises:
        ValueError: there are no markers.
    """
    text = DOCUMENT.read_text("utf-8")
    before, found, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{DOCUMENT.name}: expected the markers {START} and {END}")
    DOCUMENT.write_text(f"{before}{START}\n{table}\n{END}{after}", "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 when a command is slower than asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.cli", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="per command (default 10)")
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    options = parser.parse_args(arguments)
    measured = [timed(command, asked, options.runs) for command, asked in ASKED.items()]
    table = "\n".join(lines(measured, options.runs))
    print(table)
    if options.write:
        write(table)
    return int(not all(one.ok for one in measured))


if __name__ == "__main__":
    sys.exit(main())
