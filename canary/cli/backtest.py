"""`canary backtest`: what a policy would have decided about the releases of the past."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.analyze import PasswordFile, User
from canary.cli.artifact_options import Form, GitLab, Junit, Output, Summary, artefacts
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile

File = Annotated[
    str, typer.Argument(metavar="FILE", help="The CanaryRelease to try; - is standard input.")
]
From = Annotated[
    str, typer.Option("--from", metavar="WHEN", help="Start: 2026-03-01T10:00:00Z, or -7d.")
]
To = Annotated[str, typer.Option("--to", metavar="WHEN", help="End.")]
Namespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        help="Value of the series' label namespace; '' where they have none. Default: the file's.",
    ),
]
SplitLabel = Annotated[
    str | None,
    typer.Option(metavar="LABEL", help="Tell versions apart by this label, not by pods' names."),
]
Where = Annotated[
    str | None, typer.Option(metavar="MATCHERS", help="Further conditions on all series.")
]
Releases = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="The releases, by hand: start, end, and name, canary and stable (matchers), good "
        "(yes or no) where you like.",
    ),
]
KnownGood = Annotated[
    bool, typer.Option("--known-good", help="All of these releases were good, whatever they did.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--fail-on-false-rollback",
        help="Exit code 3 if a good release would have been rolled back, or a bad one promoted.",
    ),
]


def backtest(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    file: File,
    from_: From = "-7d",
    to: To = "now",
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    split_label: SplitLabel = None,
    where: Where = None,
    releases: Releases = None,
    known_good: KnownGood = False,
    fail_on_false_rollback: Strict = False,
    prometheus_token_file: TokenFile = None,
    prometheus_ca_file: CaFile = None,
    prometheus_user: User = None,
    prometheus_password_file: PasswordFile = None,
    junit: Junit = None,
    summary: Summary = None,
    gitlab: GitLab = None,
    output: Form = Output.TEXT,
) -> None:
    """Try a policy on past releases: what would it have decided?

    A release is a new version (ReplicaSet) beside an older one, as the pods' names in the metrics
    tell. One that stayed counts as good: rolling it back would have been a false rollback.

    Exit code: 0 (read what is said), 6 no release in that time, 1 Prometheus could not be asked,
    2 an option or the file is wrong; with --fail-on-false-rollback 3 if a decision was wrong.
    """
    from canary.analyze.run import Access, opened  # noqa: PLC0415 - as above
    from canary.analyze.time_range import period  # noqa: PLC0415
    from canary.backtest.judge import outcome_of, table  # noqa: PLC0415
    from canary.backtest.run import Study, split_of  # noqa: PLC0415 - keeps --help quick
    from canary.clock import now  # noqa: PLC0415
    from canary.discovery.release_file import load_release_file  # noqa: PLC0415
    from canary.results.publishing import publish  # noqa: PLC0415
    from canary.text.format import format_short_time  # noqa: PLC0415

    chosen = artefacts(junit, summary, gitlab, output)
    release = load_release_file(file)
    options = Access(
        prometheus,
        prometheus_token_file,
        prometheus_ca_file,
        prometheus_user,
        prometheus_password_file,
    ).options()
    started = now()
    start, end = period(from_, to, started)
    split = split_of(release, namespace, split_label, where)
    with opened(options) as source:
        study = Study(release, source, split, start, end, started)
        found = study.releases(releases, good=known_good)
        every = list(study.replay(found))
    outcome = outcome_of(
        f"{release.metadata.namespace}/{release.metadata.name}",
        every,
        strict=fail_on_false_rollback,
        seconds=study.reading + study.folding,
        facts={
            "from": start,
            "to": end,
            "readSeconds": round(study.reading, 3),
            "foldSeconds": round(study.folding, 3),
        },
    )
    if not chosen.as_json:
        typer.echo("\n".join([*table(every, format_short_time), ""]))
    raise typer.Exit(publish(outcome, chosen, sys.stdout))
