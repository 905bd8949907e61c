"""`canary analyze`: the judge on recorded counters, without a cluster or a Prometheus."""

import json
import math
import sys
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from canary.cli.samples import Skipped
    from canary.core.evidence import Assessment


class Output(StrEnum):
    """How verdicts are printed."""

    TABLE = "table"
    JSON = "json"


def _seconds(text: str) -> float:
    """Seconds of `30s`, `1h30m` or a plain number."""
    try:
        from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps --help quick

        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def _limit(text: str) -> float:
    """A share of requests; `none` is NaN, as there is no limit."""
    if text.lower() == "none":
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
    float, typer.Option(help="Chance that a release as good as stable is ever failed.")
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
        parser=_seconds, metavar="TIME", help="A hiccup no longer than this is no failure."
    ),
]
WarmUp = Annotated[
    float,
    typer.Option(
        parser=_seconds, metavar="TIME", help="Not counted, from the canary's first request."
    ),
]
Minimum = Annotated[
    float,
    typer.Option(
        parser=_seconds, metavar="TIME", help="Pass needs at least this long under traffic."
    ),
]
Form = Annotated[Output, typer.Option("-o", "--output", help="A table, or one JSON object a line.")]


def analyze(  # noqa: PLR0913, PLR0917 — one parameter per documented option
    samples: Samples,
    tolerance: Tolerance = 1.25,
    false_alarm: FalseAlarm = 0.01,
    limit: Limit = "0.05",  # type: ignore[assignment]  # typer parses the text
    smallest_regression: Regression = 0.005,
    incident: Incident = "30s",  # type: ignore[assignment]
    warm_up: WarmUp = "60s",  # type: ignore[assignment]
    minimum: Minimum = "20m",  # type: ignore[assignment]
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
    from canary.core.evidence import RatioPolicy  # noqa: PLC0415

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
    code = _print_json(assessed) if output is Output.JSON else _print_table(assessed)
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


def verdict(assessment: "Assessment") -> tuple[str, float | None]:
    """The verdict's name and the time (seconds) of the sample that decided."""
    if assessment.failed:
        return "Fail", assessment.failed_at
    if assessment.final_pass:
        return "Pass", assessment.passing_since
    return ("Continue" if assessment.canary_total > 0 else "NoData"), None


_CODES = {
    "Pass": ExitCode.OK,
    "Fail": ExitCode.FAILED,
    "Continue": ExitCode.INCONCLUSIVE,
    "NoData": ExitCode.INCONCLUSIVE,
}


def _exit_code(verdicts: list[str]) -> ExitCode:
    return _CODES[verdicts[0]] if len(verdicts) == 1 else ExitCode.OK


def _print_json(assessed: "Iterable[tuple[str, Assessment]]") -> ExitCode:
    verdicts = []
    for name, said in assessed:
        word, at = verdict(said)
        verdicts.append(word)
        row = {
            "release": name,
            "verdict": word,
            "at": at,
            "canary_total": said.canary_total,
            "canary_bad": said.canary_bad,
            "stable_total": said.stable_total,
            "stable_bad": said.stable_bad,
            "ratio": said.ratio,
            "ratio_low": said.ratio_low,
            "ratio_high": said.ratio_high,
            "evidence": said.evidence,
        }
        typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False))
    return _exit_code(verdicts)


def _print_table(assessed: "Iterable[tuple[str, Assessment]]") -> ExitCode:
    from rich.console import Console, JustifyMethod  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    styles = {"Fail": "bold red", "Pass": "green", "Continue": "yellow", "NoData": "dim"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("RELEASE", overflow="fold", min_width=8)
    for heading in ("VERDICT", "AT", "CANARY BAD", "STABLE BAD", "RATIO", "EVIDENCE"):
        justify: JustifyMethod = "left" if heading == "VERDICT" else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
    verdicts = []
    sentence = ""
    for name, said in assessed:
        word, at = verdict(said)
        verdicts.append(word)
        sentence = said.sentence
        table.add_row(
            Text(name),
            Text(word, style=styles[word]),
            "–" if at is None else f"{at:.10g}",
            _share(said.canary_bad, said.canary_total),
            _share(said.stable_bad, said.stable_total),
            _ratio(said),
            f"{said.evidence:.2g}",
        )
    console = Console(file=sys.stdout, highlight=False, emoji=False)
    console.print(table)
    if len(verdicts) == 1:
        console.print(Text(f"\n{sentence[:1].upper()}{sentence[1:]}."))
    return _exit_code(verdicts)


def _share(bad: float, total: float) -> str:
    return f"{bad / total:.2%}" if total else "–"


def _ratio(said: "Assessment") -> str:
    if said.ratio is None:
        return "–"
    high = "∞" if said.ratio_high is None else f"{said.ratio_high:.1f}"
    return f"{said.ratio:.1f} ({said.ratio_low or 0.0:.1f}–{high})"


def _mention(skipped: "Skipped") -> None:
    if skipped.count:
        typer.echo(
            f"canary: {skipped.count} rows repeat a time or go back in it and were skipped "
            f"(first: line {skipped.first_line}, release {skipped.first_release})",
            err=True,
        )
