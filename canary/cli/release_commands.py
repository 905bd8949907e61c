"""`canary promote`, `pause`, `resume`, `abort`, `retry`, `undo`, `restart`: commands to a release.

A command is an annotation that the operator handles once. It is written only if the release has not
changed since the user saw it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    OBJECT_FORMATS,
    AssumeYes,
    Context,
    DryRun,
    DryRunOption,
    Kubeconfig,
    Names,
    Namespace,
    ObjectOutput,
    Wait,
)
from canary.errors import ExitCode, UsageError
from canary.render.documents import OutputFormat, format_objects, parse_format
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.cli.send_command import CommandDetails, PlannedCommand, SentCommand
    from canary.core.snapshot import Verb

HELP: Final = {
    "promote": "Approve the current step, or resume it if it is paused.",
    "pause": "Freeze the current weight; automatic rollback stays active.",
    "resume": "Resume a paused release.",
    "abort": "Roll back now.",
    "retry": "Retry the rolled-back template.",
    "undo": "Roll back to an earlier stable version, without steps.",
    "restart": "Restart the pods of the stable version, without a release.",
}
_COMMON_HELP: Final = """

    Prompts for confirmation on a terminal; elsewhere --yes is required. Commands that do not apply
    to the current state are refused.

    Exit code 0: sent; 1: not confirmed, or no cluster; 2: not applicable now, or an invalid option;
    4: with --wait, not handled in time; 7: no such release, or forbidden.
"""


SkipAnalysis = Annotated[
    bool,
    typer.Option(
        "--skip-analysis",
        help="Send all traffic to the new version and promote it without checks and analysis; "
        "protection against crashes and outages stays active. Requires --reason.",
    ),
]
Full = Annotated[
    bool,
    typer.Option("--full", help="Skip the remaining steps; the analysis still decides."),
]
CommandReason = Annotated[
    str,
    typer.Option("--reason", help="Reason for the history, Events and notifications."),
]
EarlierTemplate = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="HASH",
        help="Template to roll back to, from status.earlierStable. Default: the last one.",
    ),
]


def build_command(verb: str) -> Callable[..., None]:
    """Return the function of a command that has only the common options."""

    def run_command(  # noqa: PLR0913, PLR0917 - kubectl's flags
        names: Names,
        namespace: Namespace = None,
        yes: AssumeYes = False,
        wait: Wait = False,
        dry_run: DryRunOption = DryRun.NONE,
        output: ObjectOutput = None,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        settings = CommandSettings(namespace, yes, wait, dry_run, output, context, kubeconfig)
        _send_commands(verb, names, settings)

    run_command.__name__ = verb
    run_command.__doc__ = HELP[verb] + _COMMON_HELP
    return run_command


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The options that these commands share."""

    namespace: str | None
    yes: bool
    wait: bool
    dry_run: DryRun
    output: str | None
    context: str | None
    kubeconfig: str | None


def _send_commands(
    verb: str,
    names: Sequence[str],
    settings: CommandSettings,
    details: "CommandDetails | None" = None,
) -> None:
    """Check the command for every release, prompt for confirmation, and write it."""
    form = parse_format(settings.output, OBJECT_FORMATS)
    if settings.wait and settings.dry_run is not DryRun.NONE:
        raise UsageError("--wait cannot be combined with --dry-run")
    from canary.cli import send_command  # noqa: PLC0415 - keeps --help quick
    from canary.core.snapshot import Verb  # noqa: PLC0415 - as above

    with open_session(
        settings.namespace, context=settings.context, kubeconfig=settings.kubeconfig
    ) as cluster:
        chosen = list(dict.fromkeys(names))
        wanted = send_command.plan_commands(
            cluster, Verb(verb), chosen, details or send_command.NO_DETAILS
        )
        if settings.dry_run is DryRun.NONE and not settings.yes:
            _confirm(Verb(verb), wanted)
        done = [send_command.write_command(cluster, one, settings.dry_run) for one in wanted]
        _print_sent(done, form, settings.dry_run)
        if settings.wait:
            for one in done:
                echo(
                    send_command.wait_until_handled(cluster, one), err=form is not OutputFormat.TEXT
                )


def promote(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: Names,
    skip_analysis: SkipAnalysis = False,
    full: Full = False,
    reason: CommandReason = "",
    namespace: Namespace = None,
    yes: AssumeYes = False,
    wait: Wait = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: ObjectOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Approve a step, or skip the steps or the analysis. HELP has the text for --help."""
    settings = CommandSettings(namespace, yes, wait, dry_run, output, context, kubeconfig)
    if skip_analysis and full:
        raise UsageError("--full cannot be combined with --skip-analysis, which includes it")
    if reason and not (skip_analysis or full):
        raise UsageError("--reason requires --skip-analysis or --full")
    if (skip_analysis or full) and not reason.strip():
        flag = "--skip-analysis" if skip_analysis else "--full"
        raise UsageError(
            f"{flag} requires --reason TEXT, which is kept in the history of the release"
        )
    from canary.api import Skip  # noqa: PLC0415 - keeps --help quick
    from canary.cli.send_command import CommandDetails  # noqa: PLC0415 - as above

    skip = Skip.ANALYSIS if skip_analysis else Skip.STEPS if full else None
    _send_commands("promote", names, settings, CommandDetails(skip, reason))


def undo(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: Names,
    to: EarlierTemplate = "",
    namespace: Namespace = None,
    yes: AssumeYes = False,
    wait: Wait = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: ObjectOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Roll back to an earlier stable version. HELP has the text for --help."""
    settings = CommandSettings(namespace, yes, wait, dry_run, output, context, kubeconfig)
    from canary.cli.send_command import CommandDetails  # noqa: PLC0415 - keeps --help quick

    _send_commands("undo", names, settings, CommandDetails(to=to or None))


promote.__doc__ = HELP["promote"] + _COMMON_HELP
undo.__doc__ = HELP["undo"] + _COMMON_HELP


def _confirm(verb: "Verb", wanted: "Sequence[PlannedCommand]") -> None:
    """Prompt for confirmation. Raises typer.Exit after a no, UsageError without a terminal."""
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("not a terminal: pass --yes to confirm")
    for one in wanted:
        echo(f"{one.sight.title}: {one.effect}", err=True)
    try:
        agreed = typer.confirm(f"{verb.capitalize()} {_name_targets(wanted)}?", err=True)
    except typer.Abort:  # Ctrl-C or the end of the input.
        raise KeyboardInterrupt from None
    if not agreed:
        echo("Nothing was changed.", err=True)
        raise typer.Exit(ExitCode.ERROR)


def _name_targets(wanted: "Sequence[PlannedCommand]") -> str:
    return wanted[0].sight.name if len(wanted) == 1 else f"these {len(wanted)} releases"


def _print_sent(done: "Sequence[SentCommand]", form: OutputFormat, dry_run: DryRun) -> None:
    if form is not OutputFormat.TEXT:
        echo(format_objects(form, [one.object for one in done], one=len(done) == 1), nl=False)
        return
    note = {
        DryRun.NONE: "",
        DryRun.CLIENT: " (dry run: not sent)",
        DryRun.SERVER: " (server dry run: not persisted)",
    }[dry_run]
    for one in done:
        echo(f"{one.wanted.sight.title}: {one.wanted.verb} sent: {one.wanted.effect}{note}")


pause, resume, abort, retry, restart = map(
    build_command, ("pause", "resume", "abort", "retry", "restart")
)
