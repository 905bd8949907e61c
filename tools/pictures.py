"""Pictures of the documentation, made from real runs: `python -m tools.pictures --help`.

    terminal FILE.svg -- COMMAND…   what COMMAND shows on a terminal, at its end
    animated FILE.svg -- COMMAND…   the same, as it changes
    page FILE.png PAGE.html         a screenshot of a page, by chromium

Needs the extra `docs`, and chromium for pages.
"""

import argparse
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import pyte

from tools.photograph import photograph

COLUMNS, ROWS = 96, 30
_CHARACTER, _LINE = 7.8, 17
"""Pixels."""
_EVERY = 0.5
"""Seconds between two looks at the screen."""
_MOST_FRAMES = 16
_SHOWN = 1.5
"""Seconds for which a frame of an animation is shown; the last one four times as long."""
_COLORS = {
    "default": "#d6deeb", "black": "#4b5563", "red": "#ff6b6b", "green": "#7bd88f",
    "brown": "#ffd866", "blue": "#82aaff", "magenta": "#c792ea", "cyan": "#7fdbca",
    "white": "#ffffff",
}  # fmt: skip
_HEX = re.compile("[0-9a-f]{6}")
Screen = tuple[str, ...]
"""The lines of a terminal as SVG text."""


def record(command: Sequence[str], seconds: float) -> list[Screen]:
    """Runs a command on a terminal of its own; each different screen that it showed.

    A command that still runs after `seconds` is interrupted as by Ctrl-C.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
        os.execvp(command[0], list(command))  # noqa: S606 - the command of the person at the terminal
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    frames: list[Screen] = []
    for output in _chunks(terminal, seconds):
        stream.feed(output)
        if (now := _lines(screen)) and now != (frames[-1:] or [()])[0]:
            frames.append(now)
    os.waitpid(process, 0)
    return frames


def _chunks(terminal: int, seconds: float) -> Iterator[bytes]:
    """What the command wrote, collected for as long as a look lasts, until it ends."""
    end = time.monotonic() + seconds
    while True:
        look, output = time.monotonic() + _EVERY, b""
        while (left := look - time.monotonic()) > 0:
            if not select.select([terminal], [], [], left)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux says so at the end
                data = b""
            if not data:
                yield output
                return
            output += data
        yield output
        if time.monotonic() > end:
            os.write(terminal, b"\x03")
            end = float("inf")


def _lines(screen: pyte.Screen) -> Screen:
    lines = [_line(screen.buffer[row]) for row in range(ROWS)]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


def _line(row: dict[int, pyte.screens.Char]) -> str:
    text = ""
    cells = [row[column] for column in range(COLUMNS)]
    for (color, bold), run in groupby(cells, lambda cell: (cell.fg, cell.bold)):
        words = "".join(cell.data for cell in run)
        fill = _COLORS.get(color) or (f"#{color}" if _HEX.fullmatch(color) else _COLORS["default"])
        weight = ' font-weight="bold"' if bold else ""
        blank = not words.strip()
        text += words if blank else f'<tspan fill="{fill}"{weight}>{escape(words)}</tspan>'
    return text.rstrip()


def draw(frames: Sequence[Screen]) -> str:
    """One frame as a picture, several as an animation that begins again after the last."""
    height = max(len(frame) for frame in frames) * _LINE + 28
    width = round(COLUMNS * _CHARACTER) + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        "<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
        f"white-space:pre;fill:{_COLORS['default']}}}{_timing(len(frames))}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#0b1220"/>'
    )
    return head + "".join(_frame(lines, n) for n, lines in enumerate(frames)) + "</svg>\n"


def _frame(lines: Screen, number: int) -> str:
    texts = [
        f'<text x="12" y="{(row + 1) * _LINE + 6}" xml:space="preserve">{line}</text>'
        for row, line in enumerate(lines)
        if line
    ]
    return f'<g class="f f{number}">{"".join(texts)}</g>'


def _timing(frames: int) -> str:
    """Style rules: each frame is visible during its part of the whole time."""
    if frames == 1:
        return ""
    whole = (frames + 3) * _SHOWN
    rules = f".f{{visibility:hidden;animation:{whole:g}s step-end infinite}}"
    for number in range(frames):
        start = 100 * number * _SHOWN / whole
        end = 100.0 if number == frames - 1 else 100 * (number + 1) * _SHOWN / whole
        hidden = "visibility:hidden"
        rules += (
            f".f{number}{{animation-name:k{number}}}@keyframes k{number}{{0%{{{hidden}}}"
            f"{start:.2f}%{{visibility:visible}}{end:.2f}%,100%{{{hidden}}}}}"
        )
    return rules


def thin(frames: Sequence[Screen], most: int = _MOST_FRAMES) -> list[Screen]:
    """At most so many of the frames, evenly chosen; the last one always."""
    if len(frames) <= most:
        return list(frames)
    step = (len(frames) - 1) / (most - 1)
    return [frames[round(number * step)] for number in range(most)]


def main() -> int:
    """Writes one picture."""
    parser = argparse.ArgumentParser(
        prog="tools.pictures", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("kind", choices=("terminal", "animated", "page"))
    parser.add_argument("file", type=Path)
    parser.add_argument("what", nargs="+", help="a command, or a page")
    parser.add_argument("--seconds", type=float, default=600, help="when to interrupt a command")
    parser.add_argument("--height", type=int, default=1400, help="of a page, in pixels")
    chosen = parser.parse_args()
    if chosen.kind == "page":
        photograph(Path(chosen.what[0]), chosen.file, chosen.height)
        return 0
    frames = record(chosen.what, chosen.seconds)
    shown = thin(frames) if chosen.kind == "animated" else frames[-1:]
    chosen.file.write_text(draw(shown), "utf-8")
    print(f"{chosen.file}: {len(shown)} of {len(frames)} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
