"""Shows the progress of a release: a live view on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console

from canary.render.console import live_display
from canary.render.live import decision_line, plain_line, render_moment
from canary.render.timeline import Moment, ReleaseDecision

LINE_INTERVAL = 5.0
"""Seconds between two lines without a terminal."""

ShowMoment = Callable[[Moment, Sequence[ReleaseDecision]], None]


@contextmanager
def open_screen(title: str, steps: Sequence[int]) -> Iterator[ShowMoment]:
    """Show moments as they are recorded; decisions stay above the live view."""
    console = Console()
    with live_display(console) as live:
        if live is None:
            yield _print_lines()
            return

        def show(moment: Moment, decisions: Sequence[ReleaseDecision]) -> None:
            for decision in decisions:
                live.console.print(decision_line(decision), markup=False, highlight=False)
            live.update(render_moment(moment, title=title, steps=steps), refresh=True)

        yield show


def _print_lines() -> ShowMoment:
    last = float("-inf")

    def show(moment: Moment, decisions: Sequence[ReleaseDecision]) -> None:
        nonlocal last
        for decision in decisions:
            typer.echo(decision_line(decision))
        if moment.time - last >= LINE_INTERVAL:
            last = moment.time
            typer.echo(plain_line(moment))

    return show
