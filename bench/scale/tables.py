"""The measured figures as Markdown tables, in which each stage has a row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.scale.counters import MIB, Counters, Resources


@dataclass(frozen=True, slots=True)
class Table:
    """A table of stages; the cells of `header` and of rows are separated by |."""

    title: str
    header: str
    keys: int = 1
    """How many cells tell the stages apart; they are numbers of releases."""

    def key(self, cells: str) -> tuple[int, ...]:
        """Return what tells this row's stage from others."""
        return tuple(int(cell.replace(",", "")) for cell in cells.split("|")[: self.keys])

    def render(self, rows: Iterable[str]) -> Iterator[str]:
        """Yield its lines of Markdown."""
        separator = "|".join("---" for _ in self.header.split("|"))
        yield from (f"#### {self.title}", "")
        yield from (f"| {' | '.join(row.split('|'))} |" for row in (self.header, separator, *rows))


Row = tuple[Table, str]
"""A row: of which table, and its cells."""

AT_REST = Table(
    "At rest",
    "releases|CPU|memory|threads, files|reads, writes, lease per min|queries|reconciles per min|"
    "new at rest after the last is ready|restart: ready|restart: all reconciled|load average",
)
IN_FLIGHT = Table(
    "In flight at once, interval 10 s",
    "in flight|of releases|CPU|memory|threads, files|reads, writes per min|"
    "queries per interval|evaluation in Prometheus per min|reconciles per min|"
    "mean wait in the queue, above 0.1 s|all have weight after|load average",
    keys=2,
)
FAILING = Table(
    "All of these fail at once",
    "in flight|of releases|scrape that decides → weight 0: p50, p99, max|"
    "fault → weight 0: p50, p99, max|CPU until the last is at 0|writes|reasons|load average",
    keys=2,
)
TABLES = (AT_REST, IN_FLIGHT, FAILING)
INTERVAL = 10.0
"""Seconds between two analyses of a release, and between two scrapes."""


@dataclass(frozen=True, slots=True)
class AtRest:
    """So many releases at rest."""

    releases: int
    new: int
    adopted: float
    """Seconds from the last of the new Deployments being ready to the last release at rest."""
    used: Counters
    """Within `seconds`."""
    seconds: float
    resources: Resources
    ready: float
    """Seconds from the start of another process to its readiness."""
    reconciled: float
    """Seconds until that process had reconciled all of them once."""
    started: Resources
    """Of that process."""
    load: float
    """Load average of the machine."""

    def rows(self) -> Iterator[Row]:
        """Yield the stage's rows."""
        used, per = self.used, 60 / self.seconds
        requests = f"{used.reads * per:.1f}, {used.writes * per:.1f}, {used.leases * per:.0f}"
        new = f"{self.new}: {max(self.adopted, 0):.1f} s" if self.new else "–"
        cells = (
            f"{self.releases:,}|{_share(used.cpu / self.seconds)}|{_memory(self.resources)} "
            f"(restarted: {_memory(self.started)})|"
            f"{self.resources.threads}, {self.resources.files}|{requests}|{used.queries:.0f}|"
            f"{used.passes * per:.0f}|{new}|{self.ready:.1f} s|{self.reconciled:.1f} s|"
            f"{self.load:.0f}"
        )
        yield AT_REST, cells


@dataclass(frozen=True, slots=True)
class InFlight:
    """So many releases in flight at once, of `releases`."""

    count: int
    releases: int
    rise: float
    """Seconds from the first deployment to the last weight above 0."""
    used: Counters
    """Within `seconds`, while all are judged and none fails."""
    seconds: float
    resources: Resources
    ended: Counters
    """From the fault to the last weight of 0."""
    delays: Sequence[float]
    """Seconds from the scrape that decided to weight 0, ascending."""
    reactions: Sequence[float]
    """Seconds from the fault to weight 0, ascending."""
    reasons: tuple[str, ...]
    load: float
    """Load average of the machine."""

    def rows(self) -> Iterator[Row]:
        """Yield the stage's rows."""
        used, per, head = self.used, 60 / self.seconds, f"{self.count:,}|{self.releases:,}"
        cells = (
            f"{head}|{_share(used.cpu / self.seconds)}|{_memory(self.resources)}|"
            f"{self.resources.threads}, {self.resources.files}|"
            f"{used.reads * per:.1f}, {used.writes * per:.0f}|"
            f"{used.queries / self.seconds * INTERVAL:.1f}|{used.evaluation * per:.2f} s|"
            f"{used.passes * per:.0f}|{1000 * used.waited / max(used.passes, 1):.0f} ms, "
            f"{used.slow / max(used.passes, 1):.1%}|{self.rise:.0f} s|{self.load:.0f}"
        )
        yield IN_FLIGHT, cells
        cells = (
            f"{head}|{_quantiles(self.delays)}|{_quantiles(self.reactions)}|"
            f"{self.ended.cpu:.1f} s|{self.ended.writes:.0f}|{', '.join(self.reasons)}|"
            f"{self.load:.0f}"
        )
        yield FAILING, cells


def add_rows(found: str, rows: Iterable[Row]) -> str:
    """Return the tables in this text with further rows, which replace those of the same stage.

    So a run of some stages keeps the rows of the others. What is not a row of one of `TABLES`, with
    the columns that it has now, is dropped.
    """
    known = {table: dict(_read_rows(table, found)) for table in TABLES}
    for table, cells in rows:
        known[table][table.key(cells)] = cells
    parts = [table.render(cells for _, cells in sorted(known[table].items())) for table in TABLES]
    filled = (part for table, part in zip(TABLES, parts, strict=True) if known[table])
    return "\n\n".join("\n".join(part) for part in filled) + "\n"


def _read_rows(table: Table, found: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the rows that this text has of the table, by their stages."""
    head = "\n".join(table.render(()))
    _, _, after = found.partition(f"{head}\n")
    for line in after.splitlines():
        if not line.startswith("| "):
            return
        cells = "|".join(cell.strip() for cell in line.strip("|").split("|"))
        yield table.key(cells), cells


def _quantiles(values: Sequence[float]) -> str:
    """Return p50, p99 and the maximum of ascending values."""
    if not values:
        return "–"
    last = len(values) - 1
    found = (values[round(last * 0.5)], values[round(last * 0.99)], values[last])
    return ", ".join(f"{one:.2f}" for one in found) + " s"


def _share(cores: float) -> str:
    return f"{cores:.2%} of a core"


def _memory(found: Resources) -> str:
    return f"{found.rss / MIB:.0f} MiB"
