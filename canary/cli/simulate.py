"""`canary simulate`: how soon a policy detects a fault, and how often it is wrong."""

import re
import sys
from typing import Annotated

import typer

from canary.cli.options import (
    GitLabFile,
    JunitFile,
    RandomSeed,
    ReleaseFile,
    ResultFormat,
    ResultOutput,
    SummaryFile,
    build_artifacts,
    duration_option,
    ratio_option,
)
from canary.errors import UsageError

_LEAK = re.compile(r"1/([0-9]{1,9}(?:\.[0-9]+)?)|(0?\.[0-9]+)")
_MAX_RUNS = 10_000


def _parse_leak(text: str | float) -> float:
    """Return the connections leaked per request, such as 0.0002 for `1/5000`."""
    if isinstance(text, float):
        return text
    match = _LEAK.fullmatch(text)
    value = 0.0
    if match and match.group(1):
        value = 1 / float(match.group(1)) if float(match.group(1)) >= 1 else 0.0
    elif match:
        value = float(match.group(2))
    if not 0 < value <= 1:
        raise typer.BadParameter(
            f"expected one connection per number of requests such as 1/5000, found {text!r}"
        )
    return value


RequestRate = Annotated[
    float,
    typer.Option(
        "--requests-per-second",
        min=0.001,
        max=1e6,
        metavar="RATE",
        help="Request rate of both versions together.",
    ),
]
CanaryErrorRatio = Annotated[float | None, ratio_option("Error ratio of the faulty canary.")]
StableErrorRatio = Annotated[float, ratio_option("Error ratio of stable.", default="0.001")]
MetricName = Annotated[
    str | None,
    typer.Option(
        "--metric", metavar="NAME", help="Metric that counts the errors. Default: the first."
    ),
]
Leak = Annotated[
    float | None,
    typer.Option(
        parser=_parse_leak,
        metavar="1/N",
        help="The faulty canary leaks one connection in N requests.",
    ),
]
PoolSize = Annotated[
    int, typer.Option(min=1, max=100_000, metavar="N", help="Pool size of each pod.")
]
Replicas = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Number of stable pods.")]
Runs = Annotated[
    int,
    typer.Option(
        min=1, max=_MAX_RUNS, metavar="N", help="Number of faulty and of good releases to simulate."
    ),
]
AtMost = Annotated[float, duration_option("Time limit of the simulation.", default="10s")]


def simulate(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    file: ReleaseFile,
    requests_per_second: RequestRate,
    error_ratio: CanaryErrorRatio = None,
    stable_error_ratio: StableErrorRatio = 0.001,
    leak: Leak = None,
    pool_size: PoolSize = 50,
    metric: MetricName = None,
    replicas: Replicas = 4,
    runs: Runs = 200,
    seed: RandomSeed = 1,
    at_most: AtMost = 10.0,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
) -> None:
    """Try a policy on a simulated fault: how fast, how often wrong?

    Simulates releases with the operator's own rules and analysis: one half has the fault from the
    first request on, the other half is as good as stable. Times count from the first traffic.

    Exit code 0: results printed; 2: an option or the file is invalid.
    """
    from canary.results.publishing import publish  # noqa: PLC0415 - keeps --help quick
    from canary.simulate.run import SimulationSettings, run_simulation  # noqa: PLC0415 - as above
    from canary.simulate.scenario import FaultScenario  # noqa: PLC0415 - as above

    if error_ratio is None and leak is None:
        raise UsageError("no fault: set --error-ratio 0.01, --leak 1/5000, or both")
    chosen = build_artifacts(junit, summary, gitlab, output)
    ratio = stable_error_ratio if error_ratio is None else error_ratio
    scenario = FaultScenario(
        requests_per_second, stable_error_ratio, ratio, leak or 0.0, pool_size, replicas
    )
    settings = SimulationSettings(file, scenario, metric, runs, seed, at_most)
    raise typer.Exit(publish(run_simulation(settings), chosen, sys.stdout))
