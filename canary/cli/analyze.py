"""`canary analyze`: the judge on counters of a Prometheus or of a file, without a cluster."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.analysis_options import (
    FalsePositiveRate,
    Limit,
    MinDuration,
    Regression,
    Tolerance,
    ToleratedIncident,
    WarmUp,
)
from canary.cli.artifact_options import Form, GitLab, Junit, Output, Summary, artefacts
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile
from canary.cli.times import length
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from canary.analyze.samples import Skipped
    from canary.analyze.settings import Judging

User = Annotated[
    str | None,
    typer.Option("--prometheus-user", metavar="NAME", help="For basic authentication there."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--prometheus-password-file", metavar="FILE", help="File with the password."),
]
Samples = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Instead of Prometheus: CSV of cumulative counters: release, time (s), "
        "canary_total, canary_bad, stable_total, stable_bad; or of each pod: release, time, "
        "side (canary or stable), pod, total, bad. Rows before the canary's first request are "
        "stable's history. - is standard input.",
    ),
]
Canary = Annotated[
    str | None,
    typer.Option(metavar="MATCHERS", help="Labels of the canary's series: 'version=\"v2\"'."),
]
Stable = Annotated[str | None, typer.Option(metavar="MATCHERS", help="Labels of stable's series.")]
MetricNames = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="PRESET",
        help="Bad requests out of all, by preset; may be repeated. Default: the first preset "
        "whose series exist, with its client errors.",
    ),
]
ClientErrors = Annotated[
    list[str] | None,
    typer.Option(
        "--client-errors",
        metavar="PRESET",
        help="Requests refused with a client error (4xx) out of all, compared with stable only; "
        "may be repeated.",
    ),
]
Latency = Annotated[
    list[str] | None,
    typer.Option(
        "--latency",
        metavar="PRESET",
        help="Slow requests out of all, compared with stable only; may be repeated.",
    ),
]
Above = Annotated[
    float | None,
    typer.Option(
        "--above",
        parser=length,
        metavar="TIME",
        show_default=False,
        help="With --latency: a request is slow above this; the histogram's nearest bound is used "
        "and named.  [default: 500ms]",
    ),
]
Total = Annotated[
    str | None, typer.Option(metavar="SELECTOR", help="Instead of a preset: counter of requests.")
]
Bad = Annotated[
    str | None, typer.Option(metavar="SELECTOR", help="With --total: counter of bad requests.")
]
Good = Annotated[
    str | None,
    typer.Option(metavar="SELECTOR", help="With --total, instead of --bad: counter of good ones."),
]
Pools = Annotated[
    list[str] | None,
    typer.Option("--pool", metavar="PRESET", help="A connection pool as well; may be repeated."),
]
PoolSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Size of the pool, where the exporter does not say."),
]
File = Annotated[
    str | None,
    typer.Option(
        "-f", "--file", metavar="FILE", help="A CanaryRelease: its analysis is what is judged by."
    ),
]
For = Annotated[
    float | None,
    typer.Option(
        "--for", parser=length, metavar="TIME", help="Watch from now on; ends early at Fail."
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="WHEN", help="Look back: 2026-03-01T10:00:00Z, or a time ago: -2h."
    ),
]
To = Annotated[str | None, typer.Option("--to", metavar="WHEN", help="End.  [default: now]")]
Step = Annotated[
    float | None,
    typer.Option(
        "--step",
        parser=length,
        metavar="TIME",
        help="Time between two looks.  [default: 10s, or the file's interval]",
    ),
]


def analyze(  # noqa: PLR0913, PLR0917 — one parameter per documented option
    canary: Canary = None,
    stable: Stable = None,
    prometheus: PrometheusUrl = None,
    for_: For = None,
    from_: From = None,
    to: To = None,
    metric: MetricNames = None,
    total: Total = None,
    bad: Bad = None,
    good: Good = None,
    client_errors: ClientErrors = None,
    latency: Latency = None,
    above: Above = None,
    pool: Pools = None,
    pool_size: PoolSize = None,
    file: File = None,
    step: Step = None,
    samples: Samples = None,
    tolerance: Tolerance = None,
    false_positive_rate: FalsePositiveRate = None,
    limit: Limit = None,
    smallest_regression: Regression = None,
    tolerated_incident: ToleratedIncident = None,
    warm_up: WarmUp = None,
    min_duration: MinDuration = None,
    prometheus_token_file: TokenFile = None,
    prometheus_ca_file: CaFile = None,
    prometheus_user: User = None,
    prometheus_password_file: PasswordFile = None,
    junit: Junit = None,
    summary: Summary = None,
    gitlab: GitLab = None,
    output: Form = Output.TEXT,
) -> None:
    """Compare two versions: is the canary worse than stable?

    The judge of the operator, without one: on two groups of series of a Prometheus, live (--for) or
    in history (--from, --to), or on recorded counters (--samples).

    Verdicts: Fail (worse; stays so), Pass (the smallest regression is excluded, now), Continue (not
    enough evidence yet), NoData (no request ever reached the canary), Unavailable (Prometheus could
    not be asked).

    Exit code: 0 Pass, 3 Fail, 6 Continue or NoData, 1 Unavailable, 2 an option or the input is
    wrong. With several releases in --samples: 0 (read the verdicts).
    """
    from canary.analyze.settings import Judging  # noqa: PLC0415 - keeps --help quick

    judging = Judging(
        tolerance,
        false_positive_rate,
        limit,
        smallest_regression,
        tolerated_incident,
        warm_up,
        min_duration,
    )
    if samples is not None:
        given = {
            "--canary": canary, "--stable": stable, "--for": for_, "--from": from_, "--to": to,
            "--metric": metric, "--total": total, "--bad": bad, "--good": good,
            "--client-errors": client_errors, "--latency": latency, "--above": above,
            "--pool": pool, "-f": file, "--step": step, "--junit": junit, "--summary": summary,
            "--gitlab": gitlab,
        }  # fmt: skip
        raise typer.Exit(_recorded(samples, judging, output, given))
    if prometheus is None:
        raise UsageError(
            "where are the counters? Give --prometheus URL (with --canary and --stable), "
            "or --samples FILE"
        )
    from canary.analyze.run import Access, Wanted, compare  # noqa: PLC0415 - keeps --help quick
    from canary.results.publishing import publish  # noqa: PLC0415 - as above

    chosen = artefacts(junit, summary, gitlab, output)
    wanted = Wanted(
        canary, stable, tuple(metric or ()), total, bad, good, tuple(client_errors or ()),
        tuple(latency or ()), above, tuple(pool or ()), pool_size, file, for_, from_, to, step,
    )  # fmt: skip
    access = Access(
        prometheus,
        prometheus_token_file,
        prometheus_ca_file,
        prometheus_user,
        prometheus_password_file,
    )
    raise typer.Exit(publish(compare(wanted, access, judging), chosen, sys.stdout))


def _recorded(
    samples: str, judging: "Judging", output: Output, given: Mapping[str, object]
) -> ExitCode:
    """Judges a file of counters, release by release."""
    from canary.analyze.samples import Skipped, judge_samples  # noqa: PLC0415 - keeps --help quick
    from canary.analyze.samples_output import print_json, print_table  # noqa: PLC0415

    if odd := [option for option, value in given.items() if value]:
        raise UsageError(f"{odd[0]} has no meaning with --samples, which has the counters already")
    skipped = Skipped()
    assessed = judge_samples(samples, judging.policy(), skipped)
    code = print_json(assessed) if output is Output.JSON else print_table(assessed)
    _mention(skipped)
    return code


def _mention(skipped: "Skipped") -> None:
    if skipped.count:
        from canary.text.sanitize import escape_unprintable  # noqa: PLC0415

        typer.echo(
            f"canary: {skipped.count} rows repeat a time or go back in it and were skipped "
            f"(first: line {skipped.first_line}, "
            f"release {escape_unprintable(skipped.first_release)})",
            err=True,
        )
