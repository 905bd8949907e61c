"""`canary loadtest`: sends open-loop load to a target and checks thresholds."""

from enum import StrEnum
from pathlib import Path
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
    ratio_option,
)
from canary.errors import require_extra


class Arrivals(StrEnum):
    """How the requests of one rate are spaced."""

    EVEN = "even"
    RANDOM = "random"


Target = Annotated[
    str, typer.Argument(metavar="URL", help="URL of the target: http://HOST:PORT[/PATH].")
]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        show_default=False,
        help="Requests per second: 100, a ramp 100..1000, steps 100,200,400, or parts with their "
        "duration: 50@30s,50..500@1m.  [default: 50]",
    ),
]
Duration = Annotated[
    float | None, duration_option("Load duration, excluding warm-up.", default="30s")
]
MaxErrorRatio = Annotated[
    float | None,
    ratio_option("Maximum ratio of failed requests, such as 0.01 or 1%.", default="1%"),
]
MaxP99 = Annotated[
    float | None,
    duration_option(
        "Maximum 99th percentile of the latency, measured from the time that a request was due, "
        "such as 250ms."
    ),
]
MinRateAchieved = Annotated[
    str | None,
    typer.Option(
        metavar="RATE|RATIO",
        help="Minimum rate of successful responses, such as 950 (per second) or 95% (of --rate).",
    ),
]
WarmUp = Annotated[
    float | None, duration_option("Load that is not measured, at the first rate.", default="2s")
]
ArrivalsOption = Annotated[
    Arrivals, typer.Option("--arrivals", help="Evenly spaced or random (Poisson) arrivals.")
]
K6Script = Annotated[
    Path | None,
    typer.Option(
        "--k6",
        metavar="SCRIPT",
        help="Generate the load with k6 and check its results (target: __ENV.CANARY_URL).",
    ),
]
Oha = Annotated[
    bool, typer.Option("--oha", help="Generate the load with oha and check its results.")
]


def loadtest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    url: Target,
    rate: Rate = None,
    duration: Duration = None,
    requests: Requests = None,
    max_error_ratio: MaxErrorRatio = None,
    max_p99: MaxP99 = None,
    min_rate_achieved: MinRateAchieved = None,
    warm_up: WarmUp = None,
    arrivals: ArrivalsOption = Arrivals.EVEN,
    timeout: RequestTimeout = None,
    max_in_flight: MaxInFlight = 2000,
    workers: WorkerProcesses = 1,
    http2: Http2 = False,
    ca_file: TargetCaFile = None,
    insecure: Insecure = False,
    allow_host: AllowHost = None,
    seed: RandomSeed = 0,
    k6: K6Script = None,
    oha: Oha = False,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
) -> None:
    """Send load to a target and check thresholds.

    Thresholds apply to errors, latency and throughput. The load is open-loop: each request is sent
    when it is due, whatever happened to the requests before it, and its latency is measured from
    that time. Stops early once a threshold can no longer be met. Progress is printed on standard
    error.

    Exit code 0: all thresholds met; 3: a threshold missed; 6: inconclusive, as the load generator
    was the bottleneck; 1: the target accepts no connection; 2: invalid input, or a target that is
    not allowed; 130: interrupted.
    """
    require_extra(*LOAD_EXTRA)
    from canary.loadtest import screen, settings  # noqa: PLC0415 - keeps --help quick

    writing = build_artifacts(junit, summary, gitlab, output)
    if k6 is not None:
        given = {"--rate": rate, "--duration": duration, "--requests": requests, "--oha": oha}
        settings.check_not_combined("--k6", given | {"--warm-up": warm_up, "--timeout": timeout})
    options = settings.LoadTestSettings(
        rate=rate,
        duration=duration,
        warm_up=warm_up if warm_up is not None else 0.0 if oha else settings.DEFAULT_WARM_UP,
        random=arrivals is Arrivals.RANDOM,
        timeout=timeout,
        max_in_flight=max_in_flight,
        workers=workers,
        http2=http2,
        ca_file=ca_file,
        insecure=insecure,
        seed=seed,
    )
    plan = settings.build_plan(url, requests, options, allow_host or ())
    asked = settings.build_thresholds(
        max_error_ratio, max_p99, min_rate_achieved, None if k6 is not None else plan
    )
    raise typer.Exit(screen.run_and_publish(plan, asked, writing, k6=k6, oha=oha))
