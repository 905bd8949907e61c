"""`canary loadtest`: open-loop load on a target, thresholds, an exit code."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.artifact_options import Form, GitLab, Junit, Output, Summary, artefacts
from canary.cli.times import length
from canary.errors import CanaryError


class Arrivals(StrEnum):
    """How requests of one rate follow each other."""

    EVEN = "even"
    RANDOM = "random"


def _share(text: str | float) -> float:
    """A share of `0.01` or `1%`."""
    if isinstance(text, float):
        return text
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise typer.BadParameter(
            f"a share such as 0.01 or 1% is expected, found {text!r}"
        ) from error
    return value


def loadtest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    url: Annotated[str, typer.Argument(metavar="URL", help="The target: http://HOST:PORT[/PATH].")],
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            show_default=False,
            help="Requests per second: 100, a ramp 100..1000, steps 100,200,400, or each part with "
            "its time: 50@30s,50..500@1m.  [default: 50]",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Load duration, excluding warm-up.  [default: 30s]",
        ),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(
            "--requests",
            metavar="FILE",
            help="YAML: several requests with weights, headers, bodies and data. "
            "Default: GET the URL.",
        ),
    ] = None,
    max_error_ratio: Annotated[
        float | None,
        typer.Option(
            parser=_share,
            metavar="SHARE",
            show_default=False,
            help="Of the requests that may fail: 0.01 or 1%.  [default: 1%]",
        ),
    ] = None,
    max_p99: Annotated[
        float | None,
        typer.Option(
            parser=length,
            metavar="TIME",
            help="99 % must not take longer, from the time they were due: 250ms.",
        ),
    ] = None,
    min_rate_achieved: Annotated[
        str | None,
        typer.Option(metavar="RATE|SHARE", help="Good answers per second: 950, or 95% of --rate."),
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Load before it counts, at the first rate.  [default: 2s]",
        ),
    ] = None,
    arrivals: Annotated[
        Arrivals, typer.Option(help="Evenly spaced or random (Poisson) arrivals.")
    ] = Arrivals.EVEN,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Request timeout.  [default: 10s]",
        ),
    ] = None,
    max_in_flight: Annotated[
        int, typer.Option(help="Requests without an answer; one due beyond that is not sent.")
    ] = 2000,
    workers: Annotated[int, typer.Option(help="Processes that send.")] = 1,
    http2: Annotated[
        bool, typer.Option("--http2", help="HTTP/2, over http without an upgrade (h2c).")
    ] = False,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate authority of an https target.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not check the certificate.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="A target outside this machine and a cluster's own names; may be repeated.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn: requests, data, arrivals.")] = 0,
    k6: Annotated[
        Path | None,
        typer.Option(
            "--k6",
            metavar="SCRIPT",
            help="Have k6 make the load (target: __ENV.CANARY_URL), and judge what it saw.",
        ),
    ] = None,
    oha: Annotated[
        bool, typer.Option("--oha", help="Have oha make the load, and judge what it saw.")
    ] = False,
    junit: Junit = None,
    summary: Summary = None,
    gitlab: GitLab = None,
    output: Form = Output.TEXT,
) -> None:
    """Put load on a target: does it answer in time, without errors?

    Open loop: each request is sent when it is due, whatever became of those before, and its latency
    counts from then. Ends early when nothing can save it. Progress is on standard error.

    Exit code 0: all thresholds hold; 3: one does not; 6: not to be said, because the generator was
    the limit; 1: the target takes no connection; 2: wrong input, or a target that may not be
    loaded; 130: interrupted.
    """
    _check_installed()
    from canary.loadtest import screen, settings  # noqa: PLC0415 - keeps --help quick

    writing = artefacts(junit, summary, gitlab, output)
    if k6 is not None:
        given = {"--rate": rate, "--duration": duration, "--requests": requests, "--oha": oha}
        settings.check_not_combined("--k6", given | {"--warm-up": warm_up, "--timeout": timeout})
    wish = settings.LoadTestSettings(
        rate=settings.DEFAULT_RATE if rate is None else rate,
        duration=duration,
        warm_up=warm_up if warm_up is not None else 0.0 if oha else settings.DEFAULT_WARM_UP,
        random=arrivals is Arrivals.RANDOM,
        timeout=settings.DEFAULT_TIMEOUT if timeout is None else timeout,
        max_in_flight=max_in_flight,
        workers=workers,
        http2=http2,
        ca_file=ca_file,
        insecure=insecure,
        seed=seed,
    )
    plan = settings.build_plan(url, requests, wish, allow_host or ())
    asked = settings.build_thresholds(
        max_error_ratio, max_p99, min_rate_achieved, None if k6 is not None else plan
    )
    raise typer.Exit(screen.run_and_publish(plan, asked, writing, k6=k6, oha=oha))


def _check_installed() -> None:
    if not (find_spec("pycurl") and find_spec("hdrh")):
        raise CanaryError("a load needs libcurl: pip install 'canary-controller[load]'")
