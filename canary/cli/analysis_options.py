"""The options that say how the judge judges; without them, the defaults of a CanaryRelease."""

import math
from typing import Annotated

import typer

from canary.cli.times import length

_MOST_FALSE_ALARMS = 0.2


def _false_alarm(text: str | float) -> float:
    """A chance; above one in five there is nothing left to be sure of."""
    value = _number(text)
    if not 0 < value <= _MOST_FALSE_ALARMS:
        raise typer.BadParameter(
            f"a chance above 0 and up to {_MOST_FALSE_ALARMS} is expected, found {text!r}"
        )
    return value


def _limit(text: str | float) -> float:
    """A share of requests; `none` is NaN, as there is no limit."""
    if str(text).lower() == "none":
        return math.nan
    value = _number(text)
    if not 0 < value < 1:
        raise typer.BadParameter(
            f"a share of requests between 0 and 1 (0.05 is 5 %) or none is expected, found {text!r}"
        )
    return value


def _number(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


Tolerance = Annotated[
    float | None,
    typer.Option(
        help="The canary may be this many times as bad as stable (≥ 1).  [default: 1.25; client "
        "errors 1.5]",
        show_default=False,
    ),
]
FalsePositiveRate = Annotated[
    float | None,
    typer.Option(
        parser=_false_alarm,
        metavar="CHANCE",
        help="Chance that a release as good as stable is ever failed (at most 0.2).  "
        "[default: 0.01]",
        show_default=False,
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(
        parser=_limit,
        metavar="SHARE|none",
        help="Share of failed requests that is bad in itself.  [default: 0.05]",
        show_default=False,
    ),
]
Regression = Annotated[
    float | None,
    typer.Option(
        help="Pass needs to have ruled out stable's share plus this.  [default: 0.005]",
        show_default=False,
    ),
]
ToleratedIncident = Annotated[
    float | None,
    typer.Option(
        parser=length,
        metavar="TIME",
        show_default=False,
        help="A hiccup no longer than this is no failure.  [default: 30s]",
    ),
]
WarmUp = Annotated[
    float | None,
    typer.Option(
        parser=length,
        metavar="TIME",
        show_default=False,
        help="Not counted, from the canary's first request.  [default: 60s]",
    ),
]
MinDuration = Annotated[
    float | None,
    typer.Option(
        parser=length,
        metavar="TIME",
        show_default=False,
        help="Pass needs at least this long under traffic.  [default: 20m; with --prometheus at "
        "most three quarters of the time compared, without the warm-up]",
    ),
]
