"""Formats the rows of `canary get -w`."""

from collections.abc import Iterator

from canary.clock import now
from canary.kube.release_watch import ReleaseUpdate
from canary.render.release_table import align_columns, column_names, column_widths, release_row


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
        cells = release_row(item, now(), wide=self._wide, namespaces=self._namespaces)
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
