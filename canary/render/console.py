"""The one way to a terminal for rich: see `terminal.py`."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment

from canary.text.sanitize import sanitize_output


class SafeConsole(Console):
    """Writes the program's own styles, and no control characters of texts."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As in rich, with texts sanitized."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else sanitize_output(text), style, control)


def supports_live_display(console: Console) -> bool:
    """Return whether the console can redraw; the terminals of CI keep every picture."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


@contextmanager
def live_display(console: Console) -> Iterator[Live | None]:
    """Yield a live display that vanishes at the end; None if the console takes only lines."""
    if not supports_live_display(console):
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live
