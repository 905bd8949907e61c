"""A load on a screen: one line that moves on a terminal, a line every few seconds elsewhere."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from canary.errors import ExitCode
from canary.loadtest.external_tools import k6_test, oha_test
from canary.loadtest.generator import Plan
from canary.loadtest.generator.run import Progress
from canary.loadtest.generator.tally import Tally
from canary.loadtest.result_table import load_table
from canary.loadtest.run import load_test
from canary.loadtest.thresholds import Thresholds, said_statuses
from canary.results.publishing import Artefacts, publish
from canary.text.format import latency

EVERY = 5
"""Seconds between two plain lines."""

Show = Callable[[Progress], None]


def tested(
    plan: Plan, asked: Thresholds, writing: Artefacts, *, k6: Path | None, oha: bool
) -> ExitCode:
    """Makes the load, shows it on standard error, and publishes what came of it."""
    with stoppable() as stop:
        if k6 is not None:
            outcome = k6_test(plan.url, k6, asked, stop)
        elif oha:
            outcome = oha_test(plan, asked, stop)
        else:
            with _screen() as show:
                outcome = load_test(plan, asked, stop, show)
    if not writing.as_json and (table := load_table(outcome.facts)):
        sys.stdout.write(table + "\n")
    return publish(outcome, writing, sys.stdout)


@contextmanager
def stoppable() -> Iterator[Event]:
    """Ctrl-C and SIGTERM set the event; a second one ends the program as usual."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def again() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        again()

    for number in before:
        signal.signal(number, asked)
    try:
        yield stop
    finally:
        again()


@contextmanager
def _screen() -> Iterator[Show]:
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plain
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(progress: Progress) -> None:
            line = Text(progress_line(progress), no_wrap=True, overflow="ellipsis")
            live.update(line, refresh=True)

        yield show


def _plain(progress: Progress) -> None:
    if (progress.index + 1) % EVERY == 0:
        sys.stderr.write(progress_line(progress) + "\n")
        sys.stderr.flush()


def progress_line(progress: Progress) -> str:
    """`  12 s of 32  100/s  0 failed  p50 1.2 ms  p99 4 ms`; of the last second."""
    schedule, second = progress.so_far.plan.schedule, progress.second
    parts = [
        f"{progress.index + 1:>4} s of {schedule.seconds:g}",
        f"{second.due:,}/s",
        _failed(second, _so_far(progress)),
    ]
    if second.latency.count:
        parts += [f"p{share} {latency(second.latency.quantile(share / 100))}" for share in (50, 99)]
    if second.unsent or second.late:
        parts.append(f"{second.unsent + second.late:,} not sent in time")
    if progress.index >= schedule.seconds:
        parts.append("waiting for the last answers")
    elif _warming_up(progress):
        parts.append("warm-up")
    return "  ".join(parts)


def _failed(second: Tally, so_far: int) -> str:
    if not so_far:
        return "0 failed"
    now = f"{second.failed:,} failed" + (
        f" ({said_statuses(second.statuses)})" if second.failed else ""
    )
    return f"{now}, {so_far:,} so far"


def _so_far(progress: Progress) -> int:
    """Failed requests of all stages."""
    stages = progress.so_far.plan.schedule.stages
    return sum(progress.so_far.stage(index).failed for index in range(len(stages)))


def _warming_up(progress: Progress) -> bool:
    first = progress.so_far.plan.schedule.stages[0]
    return not first.measured and progress.index < first.seconds
