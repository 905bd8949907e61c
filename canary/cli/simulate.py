"""`canary simulate`: how soon a policy would see a fault, and how often it would be wrong."""

import re
import sys
from typing import Annotated

import typer

from canary.cli.artifact_options import Form, GitLab, Junit, Output, Summary, artefacts
from canary.cli.times import length
from canary.errors import UsageError

_LEAK = re.compile(r"1/([0-9]{1,9}(?:\.[0-9]+)?)|(0?\.[0-9]+)")
_MOST = 10_000


def _share(text: str | float) -> float:
    """A share of requests, 0–1; `1%` is one as well."""
    if isinstance(text, float):
        return text
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"a share of requests such as 0.01 or 1% is expected, not {text}")
    return value


def _leak(text: str | float) -> float:
    """Connections lost per request: `1/5000`."""
    if isinstance(text, float):
        return text
    match = _LEAK.fullmatch(text)
    value = 0.0
    if match and match.group(1):
        value = 1 / float(match.group(1)) if float(match.group(1)) >= 1 else 0.0
    elif match:
        value = float(match.group(2))
    if not 0 < value <= 1:
        raise typer.BadParameter(f"one connection per so many requests, 1/5000, not {text}")
    return value


File = Annotated[
    str, typer.Argument(metavar="FILE", help="The CanaryRelease to try; - is standard input.")
]
Rate = Annotated[
    float,
    typer.Option(
        "--requests-per-second", min=0.001, max=1e6, metavar="RATE", help="Of both versions."
    ),
]
ErrorRatio = Annotated[
    float | None,
    typer.Option(parser=_share, metavar="SHARE", help="Share of the canary's requests that fail."),
]
StableRatio = Annotated[
    float,
    typer.Option(
        parser=_share,
        metavar="SHARE",
        help="Share of stable's requests that fail.  [default: 0.001]",
        show_default=False,
    ),
]
MetricName = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="Which one sees the errors. Default: the first."),
]
Leak = Annotated[
    float | None,
    typer.Option(
        parser=_leak, metavar="1/N", help="The canary loses one connection in N requests."
    ),
]
PoolSize = Annotated[
    int, typer.Option(min=1, max=100_000, metavar="N", help="Connections of each pod's pool.")
]
Replicas = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Stable's pods.")]
Runs = Annotated[
    int, typer.Option(min=1, max=_MOST, metavar="N", help="Releases to simulate, of each kind.")
]
Seed = Annotated[int, typer.Option(help="The same seed simulates the same releases.")]
AtMost = Annotated[
    float,
    typer.Option(
        parser=length,
        metavar="TIME",
        help="Stop simulating after this long, and say so.  [default: 10s]",
        show_default=False,
    ),
]


def simulate(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    file: File,
    requests_per_second: Rate,
    error_ratio: ErrorRatio = None,
    stable_error_ratio: StableRatio = 0.001,
    leak: Leak = None,
    pool_size: PoolSize = 50,
    metric: MetricName = None,
    replicas: Replicas = 4,
    runs: Runs = 200,
    seed: Seed = 1,
    at_most: AtMost = 10.0,
    junit: Junit = None,
    summary: Summary = None,
    gitlab: GitLab = None,
    output: Form = Output.TEXT,
) -> None:
    """Try a policy on a made-up fault: how soon, how often wrong?

    Releases are simulated with the operator's own rules and judge: half of them with the fault from
    the first request on, half as good as stable. Times count from the first traffic.

    Exit code: 0 (read what is said), 2 an option or the file is wrong.
    """
    from canary.discovery.release_file import load_release_file  # noqa: PLC0415 - keeps --help quick
    from canary.results.publishing import publish  # noqa: PLC0415
    from canary.simulate.run import Simulation  # noqa: PLC0415 - as above
    from canary.simulate.scenario import Scenario  # noqa: PLC0415
    from canary.simulate.summary import outcome_of  # noqa: PLC0415

    if error_ratio is None and leak is None:
        raise UsageError("which fault? Give --error-ratio 0.01, --leak 1/5000, or both")
    chosen = artefacts(junit, summary, gitlab, output)
    release = load_release_file(file)
    ratio = stable_error_ratio if error_ratio is None else error_ratio
    scenario = Scenario(
        requests_per_second, stable_error_ratio, ratio, leak or 0.0, pool_size, replicas
    )
    simulation = Simulation.of(release.spec, scenario, metric, runs, seed)
    forecast, seconds = simulation.run(at_most)
    subject = f"{release.metadata.namespace}/{release.metadata.name}"
    raise typer.Exit(publish(outcome_of(subject, forecast, seconds), chosen, sys.stdout))
