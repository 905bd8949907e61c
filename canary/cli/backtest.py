"""`canary backtest`: replays past releases with a policy and prints its decisions."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.options import (
    GitLabFile,
    JunitFile,
    PrometheusConfig,
    PrometheusUrl,
    ReleaseFile,
    ResultFormat,
    ResultOutput,
    SummaryFile,
    build_artifacts,
)
from canary.render.terminal import echo

RangeStart = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="Start of the range: 2026-03-01T10:00:00Z, or relative: -7d.",
    ),
]
RangeEnd = Annotated[str, typer.Option("--to", metavar="WHEN", help="End of the range.")]
SeriesNamespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        help="Value of the label `namespace` of the series; '' if they have none. Default: the "
        "namespace in the file.",
    ),
]
SplitLabel = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL", help="Label whose values are the versions, instead of names of pods."
    ),
]
Where = Annotated[
    str | None,
    typer.Option(metavar="MATCHERS", help="Additional label matchers for all series."),
]
ReleasesFile = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="CSV file of the releases: start, end, and optionally name, canary and stable "
        "(matchers), good (yes or no). Default: detected from the names of pods.",
    ),
]
KnownGood = Annotated[
    bool,
    typer.Option(
        "--known-good", help="Treat all releases as good, even those that were rolled back."
    ),
]
FailOnWrongDecision = Annotated[
    bool,
    typer.Option(
        "--fail-on-false-rollback",
        help="Exit with code 3 if a good release would be rolled back, or a bad one promoted.",
    ),
]


def backtest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    file: ReleaseFile,
    from_: RangeStart = "-7d",
    to: RangeEnd = "now",
    prometheus: PrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
    namespace: SeriesNamespace = None,
    split_label: SplitLabel = None,
    where: Where = None,
    releases: ReleasesFile = None,
    known_good: KnownGood = False,
    fail_on_false_rollback: FailOnWrongDecision = False,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
) -> None:
    """Try a policy on past releases: what would it have decided?

    A release is a new version (ReplicaSet) running beside an older one; versions are detected from
    the names of pods in the metrics. A version that stayed counts as good: rolling it back would
    have been a false rollback.

    Exit code 0: decisions printed; 6: no release in the range; 1: Prometheus could not be queried;
    2: an option or the file is invalid; with --fail-on-false-rollback 3: a decision was wrong.
    """
    from canary.backtest.run import BacktestSettings, run_backtest  # noqa: PLC0415 - keeps --help quick
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.metrics.options import HISTORY, require_sources  # noqa: PLC0415 - as above
    from canary.results.publishing import publish  # noqa: PLC0415 - as above

    chosen = build_artifacts(junit, summary, gitlab, output)
    sources = require_sources(prometheus, prometheus_config, HISTORY)
    settings = BacktestSettings(
        file, from_, to, sources, namespace, split_label, where, releases, known_good,
        strict=fail_on_false_rollback,
    )  # fmt: skip
    outcome, table = run_backtest(settings, now())
    if not chosen.as_json:
        echo("\n".join([*table, ""]))
    raise typer.Exit(publish(outcome, chosen, sys.stdout))
