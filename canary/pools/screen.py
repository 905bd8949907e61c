"""Prints the result of `canary pools`: a table on a terminal, lines in a pipe, or JSON."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import NoReturn

from rich.live import Live

from canary.clock import now
from canary.errors import ExitCode, TransientError
from canary.metrics.preset_groups import pool_preset_groups
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.pools.reader import read_pools
from canary.render.console import SafeConsole, live_display
from canary.render.documents import OutputFormat, format_document
from canary.render.pools import (
    HEADS,
    PoolSnapshot,
    PoolsView,
    format_row,
    format_table,
    pools_document,
)
from canary.render.release_table import align_columns, column_widths
from canary.render.terminal import echo
from canary.text.format import format_time_of_day

ReadPools = Callable[[], tuple[PoolSnapshot, ...]]


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The pools to list, and the output format."""

    prometheus: PrometheusOptions
    namespace: str
    """Only pools whose `namespace` label has this value; empty: all."""
    interval: float
    """Seconds between two refreshes of a watch."""
    output: OutputFormat


def show_pools(settings: PoolSettings) -> ExitCode:
    """List the pools once. Raises TransientError if Prometheus cannot be queried."""
    with closing(Prometheus(settings.prometheus)) as source:
        at = now()
        found = read_pools(source, at, settings.namespace)
    if settings.output is not OutputFormat.TEXT:
        echo(format_document(settings.output, pools_document(found, at)), nl=False)
    elif found:
        _print_pools(found, _format_title(found, settings.namespace))
    if not found:
        echo(f"canary: {_describe_missing(settings)}", err=True)
    if silent := sum(one.in_use is None for one in found):
        echo(
            f"canary: the gauges of {silent} of {len(found)} pools are NaN, so their state is "
            "unknown; check the exporter",
            err=True,
        )
    return ExitCode.OK if found else ExitCode.INCONCLUSIVE


def watch_pools(settings: PoolSettings) -> NoReturn:
    """List the pools again and again until interrupted; report an outage of Prometheus once."""
    console, pause = SafeConsole(highlight=False), Event()
    with closing(Prometheus(settings.prometheus)) as source:

        def read() -> tuple[PoolSnapshot, ...]:
            return read_pools(source, now(), settings.namespace)

        with live_display(console) as live:
            if live is not None:
                _refresh_display(live, read, pause, settings)
        _print_changes(read, pause, settings.interval)


def _print_pools(found: Sequence[PoolSnapshot], title: str) -> None:
    console = SafeConsole(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(PoolsView(found, title))
    else:
        echo("\n".join(format_table(found)))


def _refresh_display(live: Live, read: ReadPools, pause: Event, settings: PoolSettings) -> NoReturn:
    found: tuple[PoolSnapshot, ...] = ()
    title = "No connection pools found yet"
    while True:
        trouble = ""
        try:
            found = read()
            title = f"{_format_title(found, settings.namespace)} · {format_time_of_day(now())}"
        except TransientError as error:
            trouble = str(error)
        live.update(PoolsView(found, title, whole=False, trouble=trouble), refresh=True)
        pause.wait(settings.interval)


def _print_changes(read: ReadPools, pause: Event, interval: float) -> NoReturn:
    """Print a line for each changed pool, with the time first."""
    known: dict[tuple[str, ...], list[str]] = {}
    widths: list[int] = []
    told = ""
    while True:
        try:
            found, trouble = read(), ""
        except TransientError as error:
            found, trouble = (), str(error)
        if trouble and trouble != told:
            echo(f"canary: {trouble}", err=True)
        told = trouble
        cells = [format_row(one) for one in found]
        changed = [
            [format_time_of_day(now()), *one] for one in cells if known.get(tuple(one[:6])) != one
        ]
        known |= {tuple(one[:6]): one for one in cells}
        lines = changed if widths or not changed else [["TIME", *HEADS], *changed]
        if lines:
            widths = column_widths(lines, widths)
            echo("\n".join(align_columns(lines, widths)))
            sys.stdout.flush()
        pause.wait(interval)


def _format_title(found: Sequence[PoolSnapshot], namespace: str) -> str:
    one = len(found) == 1
    where = f" in namespace {namespace}" if namespace else ""
    return f"{len(found)} connection pool{'' if one else 's'}{where}, the most urgent first"


def _describe_missing(settings: PoolSettings) -> str:
    presets = ", ".join(name for group in pool_preset_groups() for name in group.presets)
    where = f" with namespace={settings.namespace!r}" if settings.namespace else ""
    return (
        f"no connection pool{where} has metrics at {settings.prometheus.url}; known exporters: "
        f"{presets}"
    )
