"""`canary analyze`: the judge on recorded counters, without a cluster or a Prometheus."""

import math
import sys
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from canary.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary.cli.samples import Skipped


_MOST_FALSE_ALARMS = 0.2


class Output(StrEnum):
    """How verdicts are printed."""

    TABLE = "table"
    JSON = "json"


def _seconds(text: str | float) -> float:
    """Seconds of `30s`, `1h30m` or a plain number; a default is a number already."""
    if isinstance(text, float):
        return text
    try:
        from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps it small

        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def _false_alarm(text: str | float) -> float:
    """A chance; above one in five there is nothing left to be sure of."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MOST_FALSE_ALARMS:
        raise typer.BadParameter(
            f"a chance above 0 and up to {_MOST_FALSE_ALARMS} is expected, found {text!r}"
        )
    return value


def _limit(text: str | float) -> float:
    """A share of requests; `none` is NaN, as there is no limit."""
    if str(text).lower() == "none":
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise typer.BadParameter(
            f"a share of requests between 0 and 1 (0.05 is 5 %) or none is expected, found {text!r}"
        )
    return value


Samples = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="CSV of cumulative counters: release, time (s), canary_total, canary_bad, "
        "stable_total, stable_bad. Rows before the canary's first request are stable's "
        "history. - is standard input.",
    ),
]
Tolerance = Annotated[
    float, typer.Option(help="The canary may be this many times as bad as stable (≥ 1).")
]
FalseAlarm = Annotated[
    float,
    typer.Option(
        parser=_false_alarm,
        metavar="CHANCE",
        help="Chance that a release as good as stable is ever failed (at most 0.2).",
    ),
]
Limit = Annotated[
    float,
    typer.Option(
        parser=_limit, metavar="SHARE|none", help="Share of bad requests that is bad in itself."
    ),
]
Regression = Annotated[
    float, typer.Option(help="Pass needs to have ruled out stable's share plus this.")
]
Incident = Annotated[
    float,
    typer.Option(
        parser=_seconds,
        metavar="TIME",
        show_default=False,
        help="A hiccup no longer than this is no failure.  [default: 30s]",
    ),
]
WarmUp = Annotated[
    float,
    typer.Option(
        parser=_seconds,
        metavar="TIME",
        show_default=False,
        help="Not counted, from the canary's first request.  [default: 60s]",
    ),
]
Minimum = Annotated[
    float,
    typer.Option(
        parser=_seconds,
        metavar="TIME",
        show_default=False,
        help="Pass needs at least this long under traffic.  [default: 20m]",
    ),
]
Form = Annotated[Output, typer.Option("-o", "--output", help="A table, or one JSON object a line.")]


def analyze(  # noqa: PLR0913, PLR0917 — one parameter per documented option
    samples: Samples,
    tolerance: Tolerance = 1.25,
    false_alarm: FalseAlarm = 0.01,
    limit: Limit = 0.05,
    smallest_regression: Regression = 0.005,
    incident: Incident = 30.0,
    warm_up: WarmUp = 60.0,
    minimum: Minimum = 1200.0,
    output: Form = Output.TABLE,
) -> None:
    """Judge recorded counters: is the canary worse than stable?

    Verdicts: Fail (worse; stays so), Pass (the smallest regression is excluded, now), Continue (not
    enough evidence yet), NoData (no request ever reached the canary). `at` is the time of the row
    that decided. Counts are of the time since the canary's first request.

    Exit code with one release: 0 Pass, 3 Fail, 6 Continue or NoData. With several: 0 (read the
    verdicts). 2: the input or an option is wrong.
    """
    from canary.cli.samples import Skipped, judge_samples  # noqa: PLC0415 - keeps --help quick
    from canary.cli.verdicts import print_json, print_table  # noqa: PLC0415
    from canary.core.evidence import RatioPolicy  # noqa: PLC0415

    if sys.stdout is None:
        raise UsageError("standard output is closed: there is nowhere to print the verdicts to")
    with _options_named():
        policy = RatioPolicy(
            tolerance=tolerance,
            limit=None if math.isnan(limit) else limit,
            false_alarm=false_alarm,
            smallest_regression=smallest_regression,
            incident=incident,
            warm_up=warm_up,
            minimum=minimum,
        )
    skipped = Skipped()
    assessed = judge_samples(samples, policy, skipped)
    code = print_json(assessed) if output is Output.JSON else print_table(assessed)
    _mention(skipped)
    raise typer.Exit(code)


@contextmanager
def _options_named() -> "Iterator[None]":
    """Says a value out of range with the name of its option.

    Raises:
        UsageError: instead of the policy's ValueError.
    """
    try:
        yield
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise UsageError(f"--{name.replace('_', '-')} {rest}") from error


def _mention(skipped: "Skipped") -> None:
    if skipped.count:
        from canary.cli.verdicts import shown  # noqa: PLC0415

        typer.echo(
            f"canary: {skipped.count} rows repeat a time or go back in it and were skipped "
            f"(first: line {skipped.first_line}, release {shown(skipped.first_release)})",
            err=True,
        )
