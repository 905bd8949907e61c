"""`canary demo`: the outage replayed with real processes on this machine, and stopped."""

from typing import TYPE_CHECKING, Annotated

import typer

from canary.demo.choices import MetricsSourceName, ScenarioName
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from canary.demo.scenarios import DemoScenario
    from canary.demo.settings import DemoSettings
    from canary.render.comparison import ComparisonRow
    from canary.render.timeline import Timeline


def demo(  # noqa: PLR0913, PLR0917 - the flags of one command
    scenario: Annotated[
        ScenarioName, typer.Option(help="What is wrong with the new version.")
    ] = ScenarioName.LEAK,
    guarded: Annotated[
        bool | None,
        typer.Option(
            "--with-canary/--without-canary",
            help="Play one act only: the release with canary in charge, or shipped to everybody "
            "at once. Default: both, the outage first.",
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="Write a report, one HTML page."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all chance: users, arrivals, errors.")] = 1,
    source: Annotated[
        MetricsSourceName,
        typer.Option(help="Read metrics pages at 1 s, or ask a Prometheus that scrapes at 5 s."),
    ] = MetricsSourceName.SCRAPE,
    error_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of failing requests in scenario errors.")
    ] = 0.05,
    release: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A CanaryRelease to play instead of the built-in."),
    ] = None,
) -> None:
    """Replay an outage with real processes here, and stop it.

    A real PostgreSQL, a real auth service in several instances, Traefik as router and an open-loop
    load. Times are short (warm-up 5 s instead of 60 s, minimum 45 s instead of 20 min, leak window
    20 s instead of 10 min) so that it takes about three minutes.

    Exit code 0: every act ended as its scenario must; 3: it did not.
    """
    from canary.demo.act_result import ended_as_expected  # noqa: PLC0415 - keeps --help quick
    from canary.demo.cluster.workdir import interrupt_on_signals  # noqa: PLC0415
    from canary.demo.scenarios import build_scenario as find  # noqa: PLC0415

    played = find(scenario, error_rate=error_rate)
    path = _report_path(report)
    settings = _settings(seed, source, release)
    acts = (False, True) if guarded is None else (guarded,)
    try:
        with interrupt_on_signals():
            timelines = tuple(_act(played, settings, guarded=act) for act in acts)
    except KeyboardInterrupt:
        typer.echo("canary: interrupted; every process was ended, nothing is left.", err=True)
        raise
    _epilogue(timelines)
    if path is not None:
        _write_report(path, played, timelines)
    fine = all(ended_as_expected(played, timeline) for timeline in timelines)
    ended = "ended as it must" if fine else "did NOT end as it must"
    typer.echo(f"The scenario {played.name} {ended}.")
    raise typer.Exit(ExitCode.OK if fine else ExitCode.FAILED)


def _settings(seed: int, source: MetricsSourceName, release: str | None) -> "DemoSettings":
    from canary.demo.settings import (  # noqa: PLC0415
        DemoSettings,
        load_builtin_release,
        load_release_file,
    )

    chosen = load_builtin_release() if release is None else load_release_file(release)
    return DemoSettings(seed, chosen, source)


def _report_path(report: str | None) -> "Path | None":
    """Checked before minutes are spent, not after."""
    from pathlib import Path  # noqa: PLC0415

    if report is None:
        return None
    path = Path(report)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--report: a file in an existing directory is expected, found {report}")
    return path


def _act(scenario: "DemoScenario", settings: "DemoSettings", *, guarded: bool) -> "Timeline":
    from canary.demo.play import play_act  # noqa: PLC0415
    from canary.demo.screen import open_screen  # noqa: PLC0415

    title = f"{scenario.name}, {'with' if guarded else 'without'} canary"
    who = "canary is in charge" if guarded else "shipped to everybody at once"
    typer.echo(f"\n{title}: {scenario.story} ({who})")
    typer.echo("Starting PostgreSQL, Traefik, 4 instances of the auth service and the load …")
    steps = [step.weight for step in settings.spec.steps] if guarded else []
    with open_screen(title, steps) as show:
        return play_act(scenario, settings, show, guarded=guarded)


def _epilogue(timelines: "Sequence[Timeline]") -> None:
    from rich.console import Console  # noqa: PLC0415

    from canary.render.comparison import comparison_table, comparison_text  # noqa: PLC0415

    typer.echo()
    for timeline in timelines:
        typer.echo(f"{timeline.title}: {_headline(timeline)}.")
    typer.echo()
    console, rows = Console(), _comparison(timelines)
    if console.is_terminal:
        console.print(comparison_table(rows))
    else:
        typer.echo(comparison_text(rows))


def _comparison(timelines: "Sequence[Timeline]") -> "Sequence[ComparisonRow]":
    from canary.render.comparison import comparison_rows  # noqa: PLC0415

    results = {timeline.guarded: timeline.result for timeline in timelines}
    return comparison_rows(results.get(True), results.get(False))


def _headline(timeline: "Timeline") -> str:
    from canary.render.comparison import describe_result  # noqa: PLC0415

    return describe_result(timeline.result)


def _write_report(path: "Path", scenario: "DemoScenario", timelines: "Sequence[Timeline]") -> None:
    from canary.render.html_report import render_report, write_report  # noqa: PLC0415

    heading = _headline(timelines[-1])
    rows = _comparison(timelines)
    page = render_report(timelines, heading=heading, intro=scenario.story, comparison=rows)
    write_report(path, page)
    typer.echo(f"Report: {path}")
