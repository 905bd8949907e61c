"""The lines of `canary get -w`."""

from collections.abc import Iterator

from canary.cli.release_watch import News
from canary.clock import now
from canary.render.release_table import align_columns, column_names, column_widths, release_row


class Rows:
    """Turns news into rows; columns grow and never shrink, so that lines stay below each other."""

    def __init__(self, *, wide: bool, namespaces: bool) -> None:
        self._wide, self._namespaces = wide, namespaces
        self._heads = column_names(wide=wide, namespaces=namespaces)
        self._widths: list[int] = []
        self._shown: dict[tuple[str, str], list[str]] = {}

    def lines(self, news: News) -> Iterator[str]:
        """The heads before the first row; nothing for what looks as it did."""
        item = news.item or news.old
        if item is None:
            return
        place = str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])
        cells = release_row(item, now(), wide=self._wide, namespaces=self._namespaces)
        if news.item is None:
            self._shown.pop(place, None)
            cells[1 + self._namespaces] = "Deleted"
        elif _telling(self._shown.get(place), self._namespaces) == _telling(
            cells, self._namespaces
        ):
            return
        else:
            self._shown[place] = cells
        first = not self._widths
        self._widths = column_widths([self._heads, cells], self._widths)
        yield from align_columns([self._heads, cells] if first else [cells], self._widths)


def _telling(cells: list[str] | None, namespaces: bool) -> list[str] | None:
    """All but the age, which changes by itself."""
    at = 6 + namespaces
    return None if cells is None else cells[:at] + cells[at + 1 :]
