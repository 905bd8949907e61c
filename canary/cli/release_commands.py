"""`canary promote`, `pause`, `resume`, `abort`, `retry`, `undo`, `restart`: commands to a release.

A request is an annotation that the operator takes once. It is written only to the release that was
looked at: one that moved on meanwhile is left alone.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from canary.cli.cluster import session
from canary.cli.options import Context, Dry, DryRun, Kubeconfig, Names, Namespace, Wait, Yes
from canary.cli.output import OBJECTS, ObjectOutput
from canary.errors import ExitCode, UsageError
from canary.render.documents import OutputFormat, format_objects, parse_format

if TYPE_CHECKING:
    from canary.cli.send_command import Asked, Details, Wanted
    from canary.core.snapshot import Verb

HELP: Final = {
    "promote": "Approve the present step; resume it where it is paused.",
    "pause": "Freeze the current weight; automatic rollback stays active.",
    "resume": "Resume a paused release.",
    "abort": "Take the traffic away from the canary now, and roll back.",
    "retry": "Retry the rolled-back template.",
    "undo": "Roll back to a version that was stable before, without steps.",
    "restart": "Restart the pods of the stable version, without a release.",
}
_MORE: Final = """

    Asks on a terminal; elsewhere --yes is needed. What makes no sense now is refused.

    Exit code 0: asked; 1: you answered no, or no cluster; 2: it makes no sense now, or a wrong
    option; 4: with --wait, not taken in time; 7: no such release, or forbidden.
"""


def command(verb: str) -> Callable[..., None]:
    """The command of one verb: they differ in nothing else."""

    def asked(  # noqa: PLR0913, PLR0917 - kubectl's flags
        names: Names,
        namespace: Namespace = None,
        yes: Yes = False,
        wait: Wait = False,
        dry_run: Dry = DryRun.NONE,
        output: ObjectOutput = None,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        how = How(namespace, yes, wait, dry_run, output, context, kubeconfig)
        _send(verb, names, how)

    asked.__name__ = verb
    asked.__doc__ = HELP[verb] + _MORE
    return asked


@dataclass(frozen=True, slots=True)
class How:
    """Options that all of these commands have."""

    namespace: str | None
    yes: bool
    wait: bool
    dry_run: DryRun
    output: str | None
    context: str | None
    kubeconfig: str | None


def _send(verb: str, names: Sequence[str], how: How, details: "Details | None" = None) -> None:
    """Checks the command for every release, asks for confirmation, and writes it."""
    form = parse_format(how.output, OBJECTS)
    if how.wait and how.dry_run is not DryRun.NONE:
        raise UsageError("--wait waits for what a dry run never brings: leave out one of them")
    from canary.cli import send_command  # noqa: PLC0415 - keeps --help quick
    from canary.core.snapshot import Verb  # noqa: PLC0415 - as above

    with session(how.namespace, context=how.context, kubeconfig=how.kubeconfig) as cluster:
        chosen = list(dict.fromkeys(names))
        wanted = send_command.wanted(
            cluster, Verb(verb), chosen, details or send_command.NO_DETAILS
        )
        if how.dry_run is DryRun.NONE and not how.yes:
            _confirm(Verb(verb), wanted)
        done = [send_command.ask(cluster, one, how.dry_run) for one in wanted]
        _say(done, form, how.dry_run)
        if how.wait:
            for one in done:
                typer.echo(send_command.taken(cluster, one), err=form is not OutputFormat.TEXT)


def promote(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: Names,
    skip_analysis: Annotated[
        bool,
        typer.Option(
            "--skip-analysis",
            help="Give the new version all traffic and promote it without checks and analysis; "
            "protection against crashes and outages stays active. Needs --reason.",
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Skip the remaining steps; the analysis still decides."),
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for history, Events and notifications.")
    ] = "",
    namespace: Namespace = None,
    yes: Yes = False,
    wait: Wait = False,
    dry_run: Dry = DryRun.NONE,
    output: ObjectOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Approves a step, or skips the steps or the analysis; see HELP for what people read."""
    how = How(namespace, yes, wait, dry_run, output, context, kubeconfig)
    if skip_analysis and full:
        raise UsageError("--skip-analysis includes --full: give one of them")
    if reason and not (skip_analysis or full):
        raise UsageError("--reason goes with --skip-analysis or --full")
    if (skip_analysis or full) and not reason.strip():
        flag = "--skip-analysis" if skip_analysis else "--full"
        raise UsageError(f"{flag} needs --reason TEXT: it is kept in the release's history")
    from canary.api import Skip  # noqa: PLC0415 - keeps --help quick
    from canary.cli.send_command import Details  # noqa: PLC0415 - as above

    skip = Skip.ANALYSIS if skip_analysis else Skip.STEPS if full else None
    _send("promote", names, how, Details(skip, reason))


def undo(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: Names,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="HASH",
            help="Template to go back to, from status.earlierStable; default: the last one.",
        ),
    ] = "",
    namespace: Namespace = None,
    yes: Yes = False,
    wait: Wait = False,
    dry_run: Dry = DryRun.NONE,
    output: ObjectOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Rolls back to a version that was stable before; see HELP for what people read."""
    how = How(namespace, yes, wait, dry_run, output, context, kubeconfig)
    from canary.cli.send_command import Details  # noqa: PLC0415 - keeps --help quick

    _send("undo", names, how, Details(to=to or None))


promote.__doc__ = HELP["promote"] + _MORE
undo.__doc__ = HELP["undo"] + _MORE


def _confirm(verb: "Verb", wanted: "Sequence[Wanted]") -> None:
    """Asks a person; without one, says what to do. Ends the command after a no."""
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("not a terminal: pass --yes to confirm")
    for one in wanted:
        typer.echo(f"{one.sight.title}: {one.effect}", err=True)
    try:
        agreed = typer.confirm(f"{verb.capitalize()} {_many(wanted)}?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        raise KeyboardInterrupt from None
    if not agreed:
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(ExitCode.ERROR)


def _many(wanted: "Sequence[Wanted]") -> str:
    return wanted[0].sight.name if len(wanted) == 1 else f"these {len(wanted)} releases"


def _say(done: "Sequence[Asked]", form: OutputFormat, dry_run: DryRun) -> None:
    if form is not OutputFormat.TEXT:
        typer.echo(format_objects(form, [one.object for one in done], one=len(done) == 1), nl=False)
        return
    note = {
        DryRun.NONE: "",
        DryRun.CLIENT: " (dry run: nothing was sent)",
        DryRun.SERVER: " (server dry run: nothing was kept)",
    }[dry_run]
    for one in done:
        typer.echo(f"{one.wanted.sight.title}: {one.wanted.verb} asked: {one.wanted.effect}{note}")


pause, resume, abort, retry, restart = map(
    command, ("pause", "resume", "abort", "retry", "restart")
)
