"""The tables of the benchmark, as Markdown that reads well on a terminal too."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.measure import Measured
from bench.promotion import PromotionMeasured

START, END = "<!-- bench-judge:start -->", "<!-- bench-judge:end -->"


class Book:
    """Collects rows and prints each as it comes, so that a long run shows its progress."""

    def __init__(self, seed: int, releases: int) -> None:
        self._head = f"{releases:,} seeded releases per row, seed {seed}."
        self._good: list[Measured] = []
        self._bad: list[Measured] = []
        self._promotion: list[PromotionMeasured] = []
        self._leaks: list[dict[str, object]] = []
        self._maxsprt: list[tuple[float, float, float, float]] = []

    def add(self, measured: Measured) -> None:
        """One row of the judge."""
        (self._good if measured.row.good else self._bad).append(measured)
        _progress(measured.row.name, f"{measured.interval} s", measured.ok)

    def add_promotion(self, measured: PromotionMeasured) -> None:
        """One row of promotion."""
        self._promotion.append(measured)
        _progress(measured.row.name, "promotion", measured.ok)

    def add_leaks(self, rows: Sequence[dict[str, object]]) -> None:
        """Rows of leaks."""
        self._leaks += rows

    def add_maxsprt(self, upper: float, published: float, found: float, signals: float) -> None:
        """One tie-out."""
        self._maxsprt.append((upper, published, found, signals))

    def lines(self) -> Iterator[str]:
        """All tables."""
        yield self._head
        if self._good:
            yield from _table(
                "Good releases: false rollbacks per 1,000",
                "scenario|interval|at most|measured (95 %)|fixed threshold, 5 failed minutes|"
                "one breached minute|inconclusive|",
                (_good(m) for m in self._good),
            )
        if self._bad:
            yield from _table(
                "Bad releases: seconds from the first judged request (or the onset) to Fail",
                "scenario|interval|asked|median|p95|found (95 %)|users hit|× ln(1/α)/KL|"
                "fixed threshold|one breached minute|",
                (_bad(m) for m in self._bad),
            )
        if self._promotion:
            yield from _table(
                "Promotion (5 canary requests/s of 50, 15 s samples, r1 = 0.5 %)",
                "scenario|passed (95 %)|at most|median time to Pass|reference|",
                (_promotion(m) for m in self._promotion),
            )
        if self._leaks:
            yield from _table("Leaks", "scenario|asked|measured|", map(_leak, self._leaks))
        if self._maxsprt:
            yield from _table(
                "Tie-out with Kulldorff et al. 2011 (Poisson MaxSPRT, α = 5 %)",
                "T|published critical value|ours|signals in simulation",
                (f"{t:g}|{p:.6f}|{f:.6f}|{s:.2%}" for t, p, f, s in self._maxsprt),
            )


def _progress(name: str, what: str, ok: bool) -> None:  # noqa: FBT001
    print(f"{'ok   ' if ok else 'WORSE'} {name} ({what})", file=sys.stderr, flush=True)


def _table(title: str, header: str, rows: Iterable[str]) -> Iterator[str]:
    body = [[cell.strip() for cell in row.split("|")] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in body) for i in range(len(body[0]))]
    body.insert(1, ["-" * max(width, 3) for width in widths])
    yield from ("", f"### {title}", "")
    for row in body:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(cells)} |"


def _word(ok: bool) -> str:  # noqa: FBT001
    return "ok" if ok else "**worse**"


def _thousandths(count: int, trials: int) -> str:
    value = count * 1000 / trials
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(value: float) -> str:
    return "–" if math.isinf(value) or math.isnan(value) else f"{value:,.0f}"


def _good(m: Measured) -> str:
    low, high = (1000 * bound for bound in m.interval_of_found)
    measured = f"{_thousandths(m.found, m.trials)} ({low:.1f}–{high:.1f})"
    fixed, breached = _thousandths(m.fixed, m.trials), _thousandths(m.breached, m.trials)
    most = "–" if m.asked is None else f"{m.asked:g}"
    start = f"{m.row.name}|{m.interval} s|{most}|{measured}"
    return f"{start}|{fixed}|{breached}|{m.inconclusive:.0%}|{_word(m.ok)}"


def _bad(m: Measured) -> str:
    low, high = m.interval_of_found
    found = f"{m.found / m.trials:.1%} ({low:.1%}–{high:.1%})"
    asked = "–" if m.asked is None else f"{m.asked:,.0f}"
    start = f"{m.row.name}|{m.interval} s|{asked}|{_seconds(m.median)}|{_seconds(m.late)}|{found}"
    bound = "–" if math.isinf(m.median) else f"{m.to_bound:.1f}"
    fixed, breached = _seconds(m.fixed_median), _seconds(m.breached_median)
    return f"{start}|{m.users:.0f}|{bound}|{fixed}|{breached}|{_word(m.ok)}"


def _promotion(m: PromotionMeasured) -> str:
    low, high = m.interval
    passed = f"{m.passed / m.trials:.1%} ({low:.1%}–{high:.1%})"
    most = "–" if m.row.most is None else f"{m.row.most:.0%}"
    time = f"{_seconds(m.median)} s" if m.row.most is None else "–"
    return f"{m.row.name}|{passed}|{most}|{time}|{m.row.reference or '–'}|{_word(m.ok)}"


def _leak(row: dict[str, object]) -> str:
    return f"{row['scenario']}|{row['asked']}|{row['measured']}|{_word(bool(row['ok']))}"


def write(document: Path, book: Book) -> None:
    """Replaces what stands between the markers.

    Raises:
        ValueError: the document has no markers.
    """
    text = document.read_text()
    before, found, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{document.name}: expected the markers {START} and {END}")
    document.write_text(f"{before}{START}\n{chr(10).join(book.lines())}\n{END}{after}")
