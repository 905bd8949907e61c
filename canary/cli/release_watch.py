"""Follows releases for `canary status -w` and `canary get -w`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from canary import clock
from canary.api import Reason, Result
from canary.cli.cluster import Session
from canary.errors import NotFoundError
from canary.kube.objects import Object
from canary.kube.release_watch import ReleaseUpdate, ReleaseWatch
from canary.kube.releases import parse_release
from canary.render.console import SafeConsole, live_display, supports_live_display
from canary.render.release_table import align_columns, column_names, column_widths, release_row
from canary.render.release_view import ReleaseView
from canary.render.status_text import change_key, format_end, format_line
from canary.render.status_view import render_status
from canary.render.terminal import echo

PrintLine = Callable[[str], None]


def view_of(found: Object) -> ReleaseView:
    """Return the release as it is displayed. Raises UsageError for an invalid spec."""
    release, metadata = parse_release(found), found["metadata"]
    return ReleaseView(
        str(metadata["namespace"]), str(metadata["name"]), release.spec, release.status, clock.now()
    )


class ConnectionReporter:
    """Reports the loss of the watch and its recovery, each once."""

    def __init__(self, print_line: PrintLine) -> None:
        self._print = print_line
        self._last = ""

    def report(self, trouble: str) -> None:
        """Report a change; `trouble` is why the watch is broken, empty if it works."""
        if trouble and not self._last:
            self._print(f"{trouble}; retrying")
        elif self._last and not trouble:
            self._print("the watch works again")
        self._last = trouble


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
        sight = view_of(update.item) if update.item is not None else replace(sight, now=clock.now())
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


class WatchTable:
    """Turns updates into rows. Columns only grow, so that rows stay aligned."""

    def __init__(self, *, wide: bool, namespaces: bool) -> None:
        self._wide, self._namespaces = wide, namespaces
        self._heads = column_names(wide=wide, namespaces=namespaces)
        self._widths: list[int] = []
        self._shown: dict[tuple[str, str], list[str]] = {}

    def render_update(self, update: ReleaseUpdate) -> Iterator[str]:
        """Yield the row of a change, the first after a header; nothing if only the age changed."""
        item = update.item or update.old
        if item is None:
            return
        place = str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])
        cells = release_row(item, clock.now(), wide=self._wide, namespaces=self._namespaces)
        if update.item is None:
            self._shown.pop(place, None)
            cells[1 + self._namespaces] = "Deleted"
        elif _without_age(self._shown.get(place), self._namespaces) == _without_age(
            cells, self._namespaces
        ):
            return
        else:
            self._shown[place] = cells
        first = not self._widths
        self._widths = column_widths([self._heads, cells], self._widths)
        yield from align_columns([self._heads, cells] if first else [cells], self._widths)


def _without_age(cells: list[str] | None, namespaces: bool) -> list[str] | None:
    """Return the cells without the age, which changes by itself."""
    at = 6 + namespaces
    return None if cells is None else cells[:at] + cells[at + 1 :]
