"""Regenerates the judge's figures by seeded simulation: `python -m bench.judge --help`."""

import argparse
import fnmatch
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from bench import maxsprt, report, speed
from bench.leak import leak_rows
from bench.measure import measure
from bench.promotion import ROWS as PROMOTION
from bench.promotion import measure_promotion
from bench.scenarios import BAD, GOOD, SUDDEN, Row

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
LEAK_ROWS: list[Callable[[int, int], list[dict[str, object]]]] = [leak_rows]
"""Whatever measures leaks: (releases, seed) → rows of scenario, asked, measured, ok."""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few releases; a smoke test")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="only rows like this")
    parser.add_argument("--releases", type=int, default=1000, help="per row (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; a row that is worse than asked says so."""
    options = _arguments(arguments)
    releases = 20 if options.quick else options.releases
    book = report.Book(options.seed, releases)
    with ProcessPoolExecutor(options.jobs) as pool:
        _simulate(book, pool, options.rows, releases, options.seed)
    if options.rows == "*":
        for rows in LEAK_ROWS:
            book.add_leaks(rows(releases, options.seed))
        _tie_out(book, releases, options.seed)
    print("\n".join(book.lines()))
    if options.rows == "*":
        print("\n" + "\n".join(speed.lines(options.seed)))
    if options.write:
        report.write(DOCUMENT, book)
    return 0


def _simulate(
    book: report.Book, pool: ProcessPoolExecutor, pattern: str, releases: int, seed: int
) -> None:
    def wanted(name: str) -> bool:
        return fnmatch.fnmatch(name, pattern) or pattern in name

    tables: tuple[tuple[Sequence[Row], tuple[int, ...]], ...]
    tables = ((GOOD, (15, 5)), (BAD, (15, 5)), (SUDDEN, (5, 1)))
    for rows, intervals in tables:
        for row, interval in product(rows, intervals):
            if wanted(row.name):
                book.add(measure(pool, row, interval, releases, seed))
    for promotion in PROMOTION:
        if wanted(promotion.name):
            book.add_promotion(measure_promotion(pool, promotion, releases, seed))


def _tie_out(book: report.Book, releases: int, seed: int) -> None:
    for upper, published in maxsprt.PUBLISHED.items():
        found = maxsprt.critical_value(upper)
        signals = maxsprt.simulated(published, upper, 10 * releases, seed)
        book.add_maxsprt(upper, published, found, signals)


if __name__ == "__main__":
    raise SystemExit(main())
