"""Shows the progress of a load: a live line on a terminal, else a line every few seconds."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

from rich.text import Text

from canary.errors import ExitCode
from canary.loadtest.external_tools import run_k6, run_oha
from canary.loadtest.generator import LoadPlan
from canary.loadtest.generator.run import LoadProgress
from canary.loadtest.generator.tally import RequestTally
from canary.loadtest.run import run_load_test
from canary.loadtest.thresholds import LoadThresholds, format_statuses
from canary.render.console import SafeConsole, live_display
from canary.render.terminal import echo
from canary.results.gate_result import Fact
from canary.results.publishing import Artifacts, publish
from canary.text.format import format_latency
from canary.text.sanitize import make_one_line

LINE_INTERVAL = 5
"""Seconds between two lines without a terminal."""

ShowLoadProgress = Callable[[LoadProgress], None]


def run_and_publish(
    plan: LoadPlan, asked: LoadThresholds, writing: Artifacts, *, k6: Path | None, oha: bool
) -> ExitCode:
    """Run the load, show its progress on standard error, and publish the result."""
    with stop_on_signal() as stop:
        if k6 is not None:
            outcome = run_k6(plan.url, k6, asked, stop)
        elif oha:
            outcome = run_oha(plan, asked, stop)
        else:
            with _open_display() as show:
                outcome = run_load_test(plan, asked, stop, show)
    if not writing.as_json and (table := render_load_table(outcome.facts)):
        echo(table)
    return publish(outcome, writing, sys.stdout)


@contextmanager
def stop_on_signal() -> Iterator[Event]:
    """Set the event at Ctrl-C or SIGTERM; a second signal ends the program as usual."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def set_event(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, set_event)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def _open_display() -> Iterator[ShowLoadProgress]:
    console = SafeConsole(stderr=True)
    with live_display(console) as live:
        if live is None:
            yield _print_line
            return

        def show(progress: LoadProgress) -> None:
            line = Text(format_progress(progress), no_wrap=True, overflow="ellipsis")
            live.update(line, refresh=True)

        yield show


def _print_line(progress: LoadProgress) -> None:
    if (progress.index + 1) % LINE_INTERVAL == 0:
        sys.stderr.write(format_progress(progress) + "\n")
        sys.stderr.flush()


def format_progress(progress: LoadProgress) -> str:
    """Return `  12 s of 32  100/s  0 failed  p50 1.2 ms  p99 4 ms`, of the last second."""
    schedule, second = progress.so_far.plan.schedule, progress.second
    parts = [
        f"{progress.index + 1:>4} s of {schedule.seconds:g}",
        f"{second.due:,}/s",
        _format_failed(second, _count_failed(progress)),
    ]
    if second.latency.count:
        parts += [
            f"p{share} {format_latency(second.latency.quantile(share / 100))}" for share in (50, 99)
        ]
    if second.unsent or second.late:
        parts.append(f"{second.unsent + second.late:,} not sent in time")
    if progress.index >= schedule.seconds:
        parts.append("waiting for the last answers")
    elif _is_warming_up(progress):
        parts.append("warm-up")
    return "  ".join(parts)


def _format_failed(second: RequestTally, so_far: int) -> str:
    if not so_far:
        return "0 failed"
    now = f"{second.failed:,} failed" + (
        f" ({format_statuses(second.statuses)})" if second.failed else ""
    )
    return f"{now}, {so_far:,} so far"


def _count_failed(progress: LoadProgress) -> int:
    """Return the failed requests of all stages."""
    stages = progress.so_far.plan.schedule.stages
    return sum(progress.so_far.stage(index).failed for index in range(len(stages)))


def _is_warming_up(progress: LoadProgress) -> bool:
    first = progress.so_far.plan.schedule.stages[0]
    return not first.measured and progress.index < first.seconds


_TABLE_HEADER = ("", "REQUESTS", "FAILED", "P50", "P99")
_NAME_WIDTH = 40


def render_load_table(facts: Mapping[str, Fact]) -> str:
    """Return rows of `stages` and `requests` if there are several of them; else an empty text."""
    rows = [*_list_rows(facts.get("stages"), "rate"), *_list_rows(facts.get("requests"), "name")]
    if not rows:
        return ""
    widths = [
        max(len(row[column]) for row in (_TABLE_HEADER, *rows))
        for column in range(len(_TABLE_HEADER))
    ]
    lines = [_format_row(row, widths) for row in (_TABLE_HEADER, *rows)]
    return "\n".join(lines) + "\n"


def _list_rows(several: Fact, key: str) -> Iterator[Sequence[str]]:
    if not isinstance(several, list):
        return
    shown = [row for row in several if isinstance(row, dict) and row.get("measured", True)]
    if len(shown) < 2:  # noqa: PLR2004 - one row would repeat the headline
        return
    for row in shown:
        name = make_one_line(str(row[key]))
        yield (
            name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…",
            f"{row['over']:,}",
            f"{row['failed']:,}",
            format_latency(float(str(row["p50Seconds"]))),
            format_latency(float(str(row["p99Seconds"]))),
        )


def _format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()
