"""`canary leaktest`: tests whether a version leaks connections, by load and idle times in turn."""

from typing import Annotated

import typer

from canary.cli.options import (
    LOAD_EXTRA,
    AllowHost,
    GitLabFile,
    Http2,
    Insecure,
    JunitFile,
    MaxInFlight,
    RandomSeed,
    Requests,
    RequestTimeout,
    ResultFormat,
    ResultOutput,
    SummaryFile,
    TargetCaFile,
    WorkerProcesses,
    build_artifacts,
    duration_option,
    number_option,
)
from canary.errors import require_extra

Target = Annotated[
    str,
    typer.Argument(
        metavar="URL", envvar="CANARY_URL", help="URL of the new version: http://HOST:PORT[/PATH]."
    ),
]
Rate = Annotated[
    float, number_option("Requests per second under load.", default="200", metavar="RATE")
]
Duration = Annotated[
    float,
    duration_option("Maximum duration; stops early once the result is conclusive.", default="3m"),
]
Drain = Annotated[
    float,
    duration_option(
        "Idle time after each load; longer than any request holds a connection.", default="1s"
    ),
]
Patience = Annotated[
    float,
    duration_option(
        "How long connections must stay in use without load to count as leaked.", default="8s"
    ),
]
MetricsUrls = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        show_default=False,
        help="Metrics page with the pool's gauges. Repeat it for each process.  "
        "[default: URL/metrics]",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Preset of the pool's metrics, such as hikaricp. Default: detected from the page.",
    ),
]
PoolMax = Annotated[
    float | None, number_option("Pool size, if no metric reports it.", "--max", metavar="N")
]
Postgres = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        envvar="CANARY_POSTGRES",
        help="Count connections in PostgreSQL's pg_stat_activity instead of on a metrics page. "
        "Prefer the environment variable: command lines are visible to other users.",
    ),
]
ApplicationName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="application_name of the new version in PostgreSQL."),
]
StableUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="URL of the stable version; tests both versions and compares them."
    ),
]
StableMetricsUrls = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        show_default=False,
        help="Metrics page of the stable version.  [default: URL/metrics]",
    ),
]
StableApplicationName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="application_name of the stable version in PostgreSQL."),
]
RuleOut = Annotated[
    float,
    number_option(
        "Pass once a leak of 1 connection in N requests is excluded.", default="2000", metavar="N"
    ),
]
FalsePositiveRate = Annotated[
    float,
    number_option(
        "Probability that a version without a leak fails the test.", default="0.01", metavar="P"
    ),
]
MinOffered = Annotated[
    float,
    number_option(
        "Share of requests that must be sent in time for a verdict.", default="0.9", metavar="SHARE"
    ),
]
AtRate = Annotated[
    float | None,
    number_option(
        "Request rate used to predict pool exhaustion.", default="--rate", metavar="RATE"
    ),
]


def leaktest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    url: Target,
    rate: Rate = 200.0,
    duration: Duration = 180.0,
    drain: Drain = 1.0,
    patience: Patience = 8.0,
    requests: Requests = None,
    metrics_url: MetricsUrls = None,
    preset: Preset = None,
    pool_max: PoolMax = None,
    postgres: Postgres = None,
    application_name: ApplicationName = None,
    stable: StableUrl = None,
    stable_metrics_url: StableMetricsUrls = None,
    stable_application_name: StableApplicationName = None,
    rule_out: RuleOut = 2000.0,
    false_positive_rate: FalsePositiveRate = 0.01,
    min_offered: MinOffered = 0.9,
    at_rate: AtRate = None,
    timeout: RequestTimeout = None,
    max_in_flight: MaxInFlight = 500,
    workers: WorkerProcesses = 1,
    http2: Http2 = False,
    ca_file: TargetCaFile = None,
    insecure: Insecure = False,
    allow_host: AllowHost = None,
    seed: RandomSeed = 0,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
) -> None:
    """Test whether a version leaks connections under load.

    Alternates load and pauses, and tests whether the connections in use during the pauses grow with
    the number of requests. Stops as soon as the result is conclusive. Progress is printed on
    standard error.

    Exit code 0: no leak; 3: a leak, or the new version crashed; 6: inconclusive (no metrics, too
    few requests, or the load generator was the bottleneck); 1: the target accepts no connection; 2:
    invalid input, or a target that is not allowed; 130: interrupted.
    """
    require_extra(*LOAD_EXTRA)
    from canary.leaktest import screen, settings  # noqa: PLC0415 - keeps --help quick

    writing = build_artifacts(junit, summary, gitlab, output)
    beside = stable or None
    options = settings.LeakTestSettings(
        rate=rate,
        duration=duration,
        drain=drain,
        patience=patience,
        requests=requests,
        preset=preset,
        maximum=pool_max,
        postgres=postgres or None,
        rule_out=rule_out,
        false_positive_rate=false_positive_rate,
        min_offered=min_offered,
        at_rate=at_rate,
        timeout=timeout,
        max_in_flight=max_in_flight,
        workers=workers,
        http2=http2,
        ca_file=ca_file,
        insecure=insecure,
        seed=seed,
        allowed=tuple(allow_host or ()),
    )
    policy, pace = settings.build_limits(options)
    sides = [settings.VersionOptions("", url, tuple(metrics_url or ()), application_name)]
    if beside:
        pages = tuple(stable_metrics_url or ())
        sides.append(settings.VersionOptions("stable-", beside, pages, stable_application_name))
    else:
        settings.check_no_stable(stable_metrics_url, stable_application_name)
    with settings.open_subjects(sides, options) as found:
        raise typer.Exit(screen.run_and_publish(found, policy, pace, writing))
