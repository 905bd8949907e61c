"""`canary leaktest`: load and drain by turns; does a version give its connections back?"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.artifact_options import Form, GitLab, Junit, Output, Summary, artefacts
from canary.cli.times import length
from canary.errors import CanaryError


def _number(text: str | float) -> float:
    """A number; for typer: a default is one already."""
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"a number such as 200 or 0.01 is expected, found {text!r}"
        ) from error


def leaktest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", envvar="CANARY_URL", help="The candidate: http://HOST:PORT[/PATH]."
        ),
    ],
    rate: Annotated[
        float,
        typer.Option(
            parser=_number,
            metavar="RATE",
            show_default=False,
            help="Requests per second while it is loaded.  [default: 200]",
        ),
    ] = 200.0,
    duration: Annotated[
        float,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Maximum duration; stops early once the result is conclusive.  [default: 3m]",
        ),
    ] = 180.0,
    drain: Annotated[
        float,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Without requests, after each load: longer than any connection is held.  "
            "[default: 1s]",
        ),
    ] = 1.0,
    patience: Annotated[
        float,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="How long what looks like a leak has to stay before it is one.  [default: 8s]",
        ),
    ] = 8.0,
    requests: Annotated[
        Path | None,
        typer.Option(
            "--requests",
            metavar="FILE",
            help="YAML: several requests with weights, headers, bodies and data, as for loadtest. "
            "Default: GET the URL.",
        ),
    ] = None,
    metrics_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="Page with the pool's gauges; repeated for each process.  [default: URL/metrics]",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Kind of pool: hikaricp, go-sql … Default: what the page has."
        ),
    ] = None,
    pool_max: Annotated[
        float | None,
        typer.Option(
            "--max",
            parser=_number,
            metavar="N",
            help="Size of the pool, where no metric tells it.",
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            envvar="CANARY_POSTGRES",
            help="Count connections in PostgreSQL's pg_stat_activity instead of on a page. "
            "Better in the variable than in a command line that others can read.",
        ),
    ] = None,
    application_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The candidate's, in PostgreSQL.")
    ] = None,
    stable: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Do the same to the present version, side by side, and judge the difference.",
        ),
    ] = None,
    stable_metrics_url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", show_default=False, help="Its pages.  [default: URL/metrics]"),
    ] = None,
    stable_application_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name in PostgreSQL.")
    ] = None,
    rule_out: Annotated[
        float,
        typer.Option(
            parser=_number,
            metavar="N",
            show_default=False,
            help="Pass when a leak of 1 connection in N requests is ruled out.  [default: 2000]",
        ),
    ] = 2000.0,
    false_positive_rate: Annotated[
        float,
        typer.Option(
            parser=_number,
            metavar="P",
            show_default=False,
            help="Chance that a sound version is failed, over all looks.  [default: 0.01]",
        ),
    ] = 0.01,
    at_rate: Annotated[
        float | None,
        typer.Option(
            parser=_number,
            metavar="RATE",
            show_default=False,
            help="Request rate used to predict pool exhaustion.  [default: --rate]",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            parser=length,
            metavar="TIME",
            show_default=False,
            help="Request timeout.  [default: 10s]",
        ),
    ] = 10.0,
    max_in_flight: Annotated[
        int, typer.Option(help="Requests without an answer; one due beyond that is not sent.")
    ] = 500,
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
    seed: Annotated[int, typer.Option(help="Of whatever is drawn: requests, data.")] = 0,
    junit: Junit = None,
    summary: Summary = None,
    gitlab: GitLab = None,
    output: Form = Output.TEXT,
) -> None:
    """Load and drain a version by turns: does it leak connections?

    What is still in use when nothing is asked, in drain after drain, is judged: does it rise with
    requests? Ends as soon as it is sure. Progress is on standard error.

    Exit code 0: no leak; 3: a leak, or the candidate died; 6: not to be said (no metrics, too few
    requests, the generator was the limit); 1: the target takes no connection; 2: wrong input, or a
    target that may not be loaded; 130: interrupted.
    """
    _check_installed()
    from canary.leaktest import screen, settings  # noqa: PLC0415 - keeps --help quick

    writing = artefacts(junit, summary, gitlab, output)
    beside = stable or None
    wish = settings.LeakTestSettings(
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
    policy, pace = settings.build_limits(wish)
    sides = [settings.VersionOptions("", url, tuple(metrics_url or ()), application_name)]
    if beside:
        pages = tuple(stable_metrics_url or ())
        sides.append(settings.VersionOptions("stable-", beside, pages, stable_application_name))
    else:
        settings.check_no_stable(stable_metrics_url, stable_application_name)
    with settings.open_subjects(sides, wish) as found:
        raise typer.Exit(screen.run_and_publish(found, policy, pace, writing))


def _check_installed() -> None:
    if not (find_spec("pycurl") and find_spec("hdrh")):
        raise CanaryError("a load needs libcurl: pip install 'canary-controller[load]'")
