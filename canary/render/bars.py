"""Draws bars, truncated text and columns for a terminal, exact to the cell."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from canary.text.sanitize import make_encodable, strip_controls

POOL_LIMIT = 0.75
"""Share of a pool in use (0–1) above which a pool is nearly full; the limit line in every chart."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that bars and rules are drawn with."""

    encoding: str
    full: str
    half: str
    """A cell whose left half is full."""
    empty: str
    mark_full: str
    mark_empty: str
    rule: str
    dot: str
    ellipsis: str

    def show_text(self, words: str) -> str:
        """Return foreign text in characters that this terminal can show."""
        return make_encodable(strip_controls(words), self.encoding)


def glyphs_for(encoding: str) -> Glyphs:
    """Return line-drawing characters if `encoding` has them, else ASCII."""
    drawn = Glyphs(encoding, "━", "╾", "─", "╋", "┼", "─", "·", "…")
    try:
        f"{drawn.full}{drawn.half}{drawn.mark_full}{drawn.ellipsis}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Glyphs("ascii", "=", "-", "-", "#", "|", "-", "-", "...")
    return drawn


def draw_bar(share: float, width: int, marks: Sequence[float], style: str, glyphs: Glyphs) -> Text:
    """Return a bar of `width` cells filled to `share` (0–1), with `marks` (0–1) drawn into it.

    A mark is drawn as reached exactly when `share` has reached it, even within one cell.
    """
    halves = round(_clamp_share(share) * width * 2)
    reached = {mark_cell(mark, width): share >= mark for mark in marks}
    line = Text(no_wrap=True)
    for cell in range(width):
        if cell in reached:
            glyph = glyphs.mark_full if reached[cell] else glyphs.mark_empty
            line.append(glyph, style=style if reached[cell] else "default")
        else:
            filled = min(max(halves - 2 * cell, 0), 2)
            glyph = (glyphs.empty, glyphs.half, glyphs.full)[filled]
            line.append(glyph, style=style if filled else "dim")
    return line


def mark_cell(share: float, width: int) -> int:
    """Return the index of the last cell filled at `share`."""
    return max(math.ceil(_clamp_share(share) * width - 1e-9) - 1, 0)


def _clamp_share(share: float) -> float:
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else float(share > 0)


def fit_text(words: str, width: int, glyphs: Glyphs, *, right: bool = False) -> str:
    """Return `words` in exactly `width` cells: padded, or truncated with an ellipsis."""
    text = glyphs.show_text(words)
    if cell_len(text) > width:
        room = max(width - cell_len(glyphs.ellipsis), 0)
        text = set_cell_size(text, room).rstrip() + glyphs.ellipsis[:width]
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def fit_end(words: str, width: int, glyphs: Glyphs) -> str:
    """Return `words` in exactly `width` cells; a long name keeps its end, which tells instances."""
    text = glyphs.show_text(words)
    if cell_len(text) <= width:
        return fit_text(text, width, glyphs)
    while text and cell_len(glyphs.ellipsis + text) > width:
        text = text[1:]
    return fit_text(glyphs.ellipsis + text, width, glyphs)


def place_labels(places: Iterable[tuple[int, str, str]], width: int) -> Text:
    """Return labels `(cell, words, style)` centered below their cells, without those that overlap.

    Earlier labels take precedence.
    """
    taken: list[tuple[int, str, str]] = []
    for cell, words, style in places:
        start = min(max(cell - (len(words) - 1) // 2, 0), max(width - len(words), 0))
        if all(start > s + len(w) or start + len(words) < s for s, w, _ in taken):
            taken.append((start, words, style))
    line = Text(no_wrap=True)
    for start, words, style in sorted(taken):
        line.append(" " * (start - line.cell_len)).append(words, style=style)
    return line


def justify_line(left: Text, right: Text, width: int) -> Text:
    """Return a line of `width` cells with `left` and `right` at its ends."""
    gap = " " * max(width - left.cell_len - right.cell_len, 1)
    return Text.assemble(left, gap, right, no_wrap=True)
