"""`canary status -w`: the live view, and the lines in a pipe."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer
from rich.console import Console
from rich.live import Live

from canary.api import Reason, Result
from canary.cli.cluster import Session
from canary.cli.release_watch import Follow, News, Say, Troubles
from canary.cli.sights import sight_of
from canary.clock import now
from canary.errors import NotFoundError
from canary.render.release_view import ReleaseView
from canary.render.status_text import change_key, format_end, format_line
from canary.render.status_view import render_status

TICK = 1.0
"""Seconds between two pictures without news: the time left changes by itself."""

Show = Callable[[ReleaseView], None]


def following(cluster: Session, sight: ReleaseView) -> ReleaseView:
    """Shows the release until it has ended; how it stands then.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    with (
        _screen() as (show, say),
        Follow(cluster, sight.namespace, name=sight.name) as follow,
    ):
        sight = _until_ended(follow.news(TICK), sight, show, Troubles(say))
    _show_end(sight)
    return sight


def _until_ended(
    news: Iterator[News], sight: ReleaseView, show: Show, troubles: Troubles
) -> ReleaseView:
    show(sight)
    for one in news:
        troubles.heard(one.trouble)
        if one.item is None and one.old is not None:
            raise NotFoundError(f"CanaryRelease {sight.title} was deleted")
        sight = sight_of(one.item) if one.item is not None else replace(sight, now=now())
        show(sight)
        if has_ended(sight):
            break
    return sight


def has_ended(sight: ReleaseView) -> bool:
    """Nothing is in flight; a release that gave way to a newer template is followed into that."""
    last = sight.last
    superseded = last is not None and last.result is Result.SUPERSEDED
    return not sight.under_way and not (
        superseded and sight.status.reason is Reason.TEMPLATE_CHANGED
    )


@contextmanager
def _screen() -> Iterator[tuple[Show, Say]]:
    console = Console(highlight=False)
    if not _moving(console):
        yield _lines(), lambda words: typer.echo(f"canary: {words}", err=True)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield (
            lambda sight: live.update(render_status(sight, whole=False), refresh=True),
            lambda words: live.console.print(f"canary: {words}", markup=False, style="yellow"),
        )


def _moving(console: Console) -> bool:
    """Whether a picture can move here; the terminals of CI keep every picture of it."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


def _lines() -> Show:
    last: tuple[object, ...] = ()

    def show(sight: ReleaseView) -> None:
        nonlocal last
        if change_key(sight.status) != last:
            last = change_key(sight.status)
            typer.echo(format_line(sight))

    return show


def _show_end(sight: ReleaseView) -> None:
    console = Console(highlight=False)
    if _moving(console):
        console.print(render_status(sight))
    else:
        typer.echo(format_end(sight))
