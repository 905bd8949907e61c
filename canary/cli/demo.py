"""`canary demo`: replays an outage with real processes on this machine, and prevents it."""

from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.options import RandomSeed
from canary.demo.choices import MetricsSourceName, ScenarioName
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from canary.demo.scenarios import DemoScenario
    from canary.demo.settings import DemoSettings
    from canary.render.comparison import ComparisonRow
    from canary.render.timeline import Timeline


ScenarioOption = Annotated[
    ScenarioName, typer.Option("--scenario", help="Fault of the new version.")
]
WithCanary = Annotated[
    bool | None,
    typer.Option(
        "--with-canary/--without-canary",
        help="Run one part only: the release with canary, or rolled out to everyone at once. "
        "Default: both, the outage first.",
    ),
]
ReportFile = Annotated[
    str | None, typer.Option(metavar="FILE.html", help="Write a report as one HTML page.")
]
SourceOption = Annotated[
    MetricsSourceName,
    typer.Option(
        "--source",
        help="Read metrics pages every second, or query a Prometheus that scrapes every 5 s.",
    ),
]
ErrorRate = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Ratio of failing requests in the scenario errors."),
]
CustomRelease = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="File with a CanaryRelease to use instead of the built-in."),
]


def demo(  # noqa: PLR0913, PLR0917 - the flags of one command
    scenario: ScenarioOption = ScenarioName.LEAK,
    guarded: WithCanary = None,
    report: ReportFile = None,
    seed: RandomSeed = 1,
    source: SourceOption = MetricsSourceName.SCRAPE,
    error_rate: ErrorRate = 0.05,
    release: CustomRelease = None,
) -> None:
    """Replay an outage with real processes here, and prevent it.

    Runs PostgreSQL, an auth service with several instances, Traefik as the router and an open-loop
    load. Times are short (warm-up 5 s instead of 60 s, minimum duration 45 s instead of 20 min,
    leak window 20 s instead of 10 min), so it takes about three minutes.

    Exit code 0: every part ended as the scenario expects; 3: it did not.
    """
    from canary.demo.act_result import ended_as_expected  # noqa: PLC0415 - keeps --help quick
    from canary.demo.cluster.workdir import interrupt_on_signals  # noqa: PLC0415
    from canary.demo.scenarios import build_scenario as find  # noqa: PLC0415

    played = find(scenario, error_rate=error_rate)
    path = _report_path(report)
    settings = _build_settings(seed, source, release)
    acts = (False, True) if guarded is None else (guarded,)
    try:
        with interrupt_on_signals():
            timelines = tuple(_play_act(played, settings, guarded=act) for act in acts)
    except KeyboardInterrupt:
        typer.echo("canary: interrupted; all processes were stopped.", err=True)
        raise
    _print_comparison(timelines)
    if path is not None:
        _write_report(path, played, timelines)
    fine = all(ended_as_expected(played, timeline) for timeline in timelines)
    ended = "ended as expected" if fine else "did NOT end as expected"
    typer.echo(f"The scenario {played.name} {ended}.")
    raise typer.Exit(ExitCode.OK if fine else ExitCode.FAILED)


def _build_settings(seed: int, source: MetricsSourceName, release: str | None) -> "DemoSettings":
    from canary.demo.settings import (  # noqa: PLC0415
        DemoSettings,
        load_builtin_release,
        load_release_file,
    )

    chosen = load_builtin_release() if release is None else load_release_file(release)
    return DemoSettings(seed, chosen, source)


def _report_path(report: str | None) -> "Path | None":
    """Check the path before the demo runs for minutes, not after."""
    from pathlib import Path  # noqa: PLC0415

    if report is None:
        return None
    path = Path(report)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--report: expected a file in an existing directory, found {report}")
    return path


def _play_act(scenario: "DemoScenario", settings: "DemoSettings", *, guarded: bool) -> "Timeline":
    from canary.demo.play import play_act  # noqa: PLC0415
    from canary.demo.screen import open_screen  # noqa: PLC0415

    title = f"{scenario.name}, {'with' if guarded else 'without'} canary"
    how = "It is released by canary." if guarded else "It is rolled out to everyone at once."
    _print_paragraph(f"\n{title}: {scenario.story} {how}")
    typer.echo("Starting PostgreSQL, Traefik, 4 instances of the auth service and the load …")
    steps = [step.weight for step in settings.spec.steps] if guarded else []
    with open_screen(title, steps) as show:
        return play_act(scenario, settings, show, guarded=guarded)


def _print_paragraph(text: str) -> None:
    """Print a sentence; on a terminal its lines break between words."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    if console.is_terminal:
        console.print(text, markup=False, highlight=False)
    else:
        typer.echo(text)


def _print_comparison(timelines: "Sequence[Timeline]") -> None:
    from rich.console import Console  # noqa: PLC0415

    from canary.render.comparison import comparison_table, comparison_text  # noqa: PLC0415

    typer.echo()
    for timeline in timelines:
        _print_paragraph(f"{timeline.title}: {_format_headline(timeline)}.")
    typer.echo()
    console, rows = Console(), _compare_timelines(timelines)
    if console.is_terminal:
        console.print(comparison_table(rows))
    else:
        typer.echo(comparison_text(rows))


def _compare_timelines(timelines: "Sequence[Timeline]") -> "Sequence[ComparisonRow]":
    from canary.render.comparison import comparison_rows  # noqa: PLC0415

    results = {timeline.guarded: timeline.result for timeline in timelines}
    return comparison_rows(results.get(True), results.get(False))


def _format_headline(timeline: "Timeline") -> str:
    from canary.render.comparison import describe_result  # noqa: PLC0415

    return describe_result(timeline.result)


def _write_report(path: "Path", scenario: "DemoScenario", timelines: "Sequence[Timeline]") -> None:
    from canary.render.html_report import render_report, write_report  # noqa: PLC0415

    heading = _format_headline(timelines[-1])
    rows = _compare_timelines(timelines)
    page = render_report(timelines, heading=heading, intro=scenario.story, comparison=rows)
    write_report(path, page)
    typer.echo(f"Report: {path}")
