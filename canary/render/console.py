"""The one way to a terminal for rich: see `terminal.py`."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
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
