"""Writes rich output to the terminal, sanitized (plain text: `terminal.py`)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from canary.text.sanitize import sanitize_output

if TYPE_CHECKING:
    from rich.live import Live


class SafeConsole(Console):
    """A console that writes the program's styles and drops control characters in texts."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Print as rich does, with sanitized texts."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else sanitize_output(text), style, control)


def supports_live_display(console: Console) -> bool:
    """Return whether the console can redraw; a CI log would keep every frame."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


@contextmanager
def live_display(console: Console) -> Iterator["Live | None"]:
    """Yield a live display that is erased at the end; None if the console only takes lines."""
    if not supports_live_display(console):
        yield None
        return
    from rich.live import Live  # noqa: PLC0415 - keeps --help quick

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live
