"""`canary analyze`: compares two versions by counters in Prometheus or in a file."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.options import (
    GitLabFile,
    JunitFile,
    PrometheusConfig,
    PrometheusUrl,
    ResultFormat,
    ResultOutput,
    SummaryFile,
    build_artifacts,
    duration_option,
)
from canary.errors import ExitCode, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.analyze.samples import SkippedRows
    from canary.analyze.settings import PolicySettings

Samples = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="CSV file of cumulative counters to read instead of Prometheus; - reads standard "
        "input. Columns: release, time (s), canary_total, canary_bad, stable_total, stable_bad; or "
        "per pod: release, time, side (canary or stable), pod, total, bad. Rows before the "
        "canary's first request are history of stable.",
    ),
]
CanaryMatchers = Annotated[
    str | None,
    typer.Option(
        metavar="MATCHERS", help="Label matchers of the canary's series, such as 'version=\"v2\"'."
    ),
]
StableMatchers = Annotated[
    str | None, typer.Option(metavar="MATCHERS", help="Label matchers of stable's series.")
]
RatioPresets = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="PRESET",
        help="Preset of an error ratio. Can be repeated. Default: the first preset whose series "
        "exist, with its client errors.",
    ),
]
ClientErrorPresets = Annotated[
    list[str] | None,
    typer.Option(
        "--client-errors",
        metavar="PRESET",
        help="Preset of a ratio of client errors (4xx), compared with stable only. Can be "
        "repeated.",
    ),
]
LatencyPresets = Annotated[
    list[str] | None,
    typer.Option(
        "--latency",
        metavar="PRESET",
        help="Preset of a ratio of slow requests, compared with stable only. Can be repeated.",
    ),
]
SlowAbove = Annotated[
    float | None,
    duration_option(
        "With --latency: duration above which a request is slow; rounded to the nearest bucket of "
        "the histogram, which is printed.",
        "--above",
        default="500ms",
    ),
]
TotalSelector = Annotated[
    str | None,
    typer.Option(metavar="SELECTOR", help="Counter of all requests, instead of a preset."),
]
BadSelector = Annotated[
    str | None, typer.Option(metavar="SELECTOR", help="With --total: counter of failed requests.")
]
GoodSelector = Annotated[
    str | None,
    typer.Option(
        metavar="SELECTOR",
        help="With --total: counter of successful requests, instead of --bad.",
    ),
]
PoolPresets = Annotated[
    list[str] | None,
    typer.Option("--pool", metavar="PRESET", help="Preset of a connection pool. Can be repeated."),
]
PoolSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Pool size, if the exporter does not report it."),
]
AnalysisFile = Annotated[
    str | None,
    typer.Option(
        "-f", "--file", metavar="FILE", help="File with a CanaryRelease whose analysis is used."
    ),
]
LiveDuration = Annotated[
    float | None,
    duration_option("Analyze live for this long from now; stops early at Fail.", "--for"),
]
RangeStart = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="Start of the range to analyze: 2026-03-01T10:00:00Z, or relative: -2h.",
    ),
]
RangeEnd = Annotated[
    str | None,
    typer.Option("--to", metavar="WHEN", help="End of the range to analyze.  [default: now]"),
]
Step = Annotated[
    float | None,
    duration_option(
        "Time between two evaluations.", "--step", default="10s, or the interval of the file"
    ),
]

_MAX_FALSE_POSITIVE_RATE = 0.2


def _parse_false_positive_rate(text: str | float) -> float:
    """Return the probability. Above one in five a verdict would be meaningless."""
    value = _number_or_zero(text)
    if not 0 < value <= _MAX_FALSE_POSITIVE_RATE:
        raise typer.BadParameter(
            f"expected a probability above 0 and up to {_MAX_FALSE_POSITIVE_RATE}, found {text!r}"
        )
    return value


def _parse_limit(text: str | float) -> float:
    """Return the ratio of failed requests; NaN for `none`, which means no limit."""
    if str(text).lower() == "none":
        return math.nan
    value = _number_or_zero(text)
    if not 0 < value < 1:
        raise typer.BadParameter(
            f"expected a ratio of requests between 0 and 1 (0.05 is 5 %) or none, found {text!r}"
        )
    return value


def _number_or_zero(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Highest tolerated ratio of the canary's error ratio to stable's (≥ 1).  [default: "
        "1.25; client errors 1.5]",
        show_default=False,
    ),
]
FalsePositiveRate = Annotated[
    float | None,
    typer.Option(
        parser=_parse_false_positive_rate,
        metavar="P",
        help="Probability that a canary as good as stable ever fails (at most 0.2).  "
        "[default: 0.01]",
        show_default=False,
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(
        parser=_parse_limit,
        metavar="RATIO|none",
        help="Ratio of failed requests that fails the canary whatever stable does.  "
        "[default: 0.05]",
        show_default=False,
    ),
]
SmallestRegression = Annotated[
    float | None,
    typer.Option(
        help="Pass once an error ratio of stable's plus this is excluded.  [default: 0.005]",
        show_default=False,
    ),
]
ToleratedIncident = Annotated[
    float | None,
    duration_option("Longest burst of errors that does not fail the canary.", default="30s"),
]
WarmUp = Annotated[
    float | None,
    duration_option("Time from the canary's first request that is excluded.", default="60s"),
]
MinDuration = Annotated[
    float | None,
    duration_option(
        "Minimum time under traffic before Pass.",
        default="20m; with --prometheus at most three quarters of the time compared, without the "
        "warm-up",
    ),
]


def analyze(  # noqa: PLR0913, PLR0917 — one parameter per documented option
    canary: CanaryMatchers = None,
    stable: StableMatchers = None,
    prometheus: PrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
    for_: LiveDuration = None,
    from_: RangeStart = None,
    to: RangeEnd = None,
    metric: RatioPresets = None,
    total: TotalSelector = None,
    bad: BadSelector = None,
    good: GoodSelector = None,
    client_errors: ClientErrorPresets = None,
    latency: LatencyPresets = None,
    above: SlowAbove = None,
    pool: PoolPresets = None,
    pool_size: PoolSize = None,
    file: AnalysisFile = None,
    step: Step = None,
    samples: Samples = None,
    tolerance: Tolerance = None,
    false_positive_rate: FalsePositiveRate = None,
    limit: Limit = None,
    smallest_regression: SmallestRegression = None,
    tolerated_incident: ToleratedIncident = None,
    warm_up: WarmUp = None,
    min_duration: MinDuration = None,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
) -> None:
    """Compare two versions: is the canary worse than stable?

    Runs the operator's analysis without an operator: on two groups of series in Prometheus, live
    (--for) or in the past (--from, --to), or on recorded counters (--samples).

    Verdicts: Fail (worse; final), Pass (the smallest regression is excluded at the end), Continue
    (not enough evidence yet), NoData (no request reached the canary), Unavailable (Prometheus could
    not be queried).

    Exit code 0: Pass; 3: Fail; 6: Continue or NoData; 1: Unavailable; 2: an option or the input is
    invalid. With several releases in --samples: 0, whatever the verdicts.
    """
    from canary.analyze.settings import ComparisonSettings, PolicySettings  # noqa: PLC0415 - keeps --help quick

    policy = PolicySettings(
        tolerance, false_positive_rate, limit, smallest_regression, tolerated_incident, warm_up,
        min_duration,
    )  # fmt: skip
    wanted = ComparisonSettings(
        canary, stable, tuple(metric or ()), total, bad, good, tuple(client_errors or ()),
        tuple(latency or ()), above, tuple(pool or ()), pool_size, file, for_, from_, to, step,
    )  # fmt: skip
    if samples is not None:
        files = {"--junit": junit, "--summary": summary, "--gitlab": gitlab}
        given = [*wanted.given, *(option for option, path in files.items() if path)]
        raise typer.Exit(_analyze_samples(samples, policy, output, given))
    if prometheus is None and prometheus_config is None:
        raise UsageError(
            "expected --prometheus URL (with --canary and --stable) or --samples FILE, found "
            "neither"
        )
    from canary.analyze.run import compare_versions  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.options import HISTORY, require_sources  # noqa: PLC0415 - as above
    from canary.results.publishing import publish  # noqa: PLC0415 - as above

    chosen = build_artifacts(junit, summary, gitlab, output)
    options = require_sources(prometheus, prometheus_config, HISTORY).select_for(None)
    raise typer.Exit(publish(compare_versions(wanted, options, policy), chosen, sys.stdout))


def _analyze_samples(
    samples: str, policy: "PolicySettings", output: ResultFormat, given: Sequence[str]
) -> ExitCode:
    """Analyze a file of counters, release by release."""
    from canary.analyze.samples import SkippedRows, judge_samples  # noqa: PLC0415 - keeps --help quick
    from canary.analyze.samples_output import print_json, print_table  # noqa: PLC0415

    if given:
        raise UsageError(
            f"{given[0]} cannot be combined with --samples, which contains the counters"
        )
    skipped = SkippedRows()
    assessed = judge_samples(samples, policy.build_policy(), skipped)
    code = print_json(assessed) if output is ResultFormat.JSON else print_table(assessed)
    _warn_skipped_rows(skipped)
    return code


def _warn_skipped_rows(skipped: "SkippedRows") -> None:
    if skipped.count:
        from canary.text.sanitize import escape_unprintable  # noqa: PLC0415

        echo(
            f"canary: skipped {skipped.count} rows whose time is not after the row before "
            f"(first: line {skipped.first_line}, "
            f"release {escape_unprintable(skipped.first_release)})",
            err=True,
        )
