"""`canary status -w`: a live display on a terminal, lines in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from canary.api import Reason, Result
from canary.cli.cluster import Session
from canary.cli.release_view import ConnectionReporter, PrintLine, view_of
from canary.clock import now
from canary.errors import NotFoundError
from canary.kube.release_watch import ReleaseUpdate, ReleaseWatch
from canary.render.console import SafeConsole, live_display, supports_live_display
from canary.render.release_view import ReleaseView
from canary.render.status_text import change_key, format_end, format_line
from canary.render.status_view import render_status
from canary.render.terminal import echo

REFRESH_SECONDS = 1.0
"""Seconds between two updates without an event: the remaining time changes by itself."""

ShowRelease = Callable[[ReleaseView], None]


def follow_release(cluster: Session, sight: ReleaseView) -> ReleaseView:
    """Show the release until it has ended; return its last state.

    Raises:
        NotFoundError: the release was deleted.
    """
    with (
        _open_display() as (show, say),
        ReleaseWatch(cluster.transport, sight.namespace, name=sight.name) as watch,
    ):
        sight = _follow_until_ended(
            watch.updates(REFRESH_SECONDS), sight, show, ConnectionReporter(say)
        )
    _show_end(sight)
    return sight


def _follow_until_ended(
    updates: Iterator[ReleaseUpdate],
    sight: ReleaseView,
    show: ShowRelease,
    connection: ConnectionReporter,
) -> ReleaseView:
    show(sight)
    for update in updates:
        connection.report(update.trouble)
        if update.item is None and update.old is not None:
            raise NotFoundError(f"CanaryRelease {sight.title} was deleted")
        sight = view_of(update.item) if update.item is not None else replace(sight, now=now())
        show(sight)
        if has_ended(sight):
            break
    return sight


def has_ended(sight: ReleaseView) -> bool:
    """Whether no release is in progress. A superseded release continues with the newer template."""
    last = sight.last
    superseded = last is not None and last.result is Result.SUPERSEDED
    return not sight.under_way and not (
        superseded and sight.status.reason is Reason.TEMPLATE_CHANGED
    )


@contextmanager
def _open_display() -> Iterator[tuple[ShowRelease, PrintLine]]:
    console = SafeConsole(highlight=False)
    with live_display(console) as live:
        if live is None:
            yield _print_changes(), lambda words: echo(f"canary: {words}", err=True)
            return
        yield (
            lambda sight: live.update(render_status(sight, whole=False), refresh=True),
            lambda words: live.console.print(f"canary: {words}", markup=False, style="yellow"),
        )


def _print_changes() -> ShowRelease:
    last: tuple[object, ...] = ()

    def show(sight: ReleaseView) -> None:
        nonlocal last
        if change_key(sight.status) != last:
            last = change_key(sight.status)
            echo(format_line(sight))

    return show


def _show_end(sight: ReleaseView) -> None:
    console = SafeConsole(highlight=False)
    if supports_live_display(console):
        console.print(render_status(sight))
    else:
        echo(format_end(sight))
