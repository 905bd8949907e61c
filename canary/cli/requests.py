"""`canary promote`, `pause`, `resume`, `abort`, `retry`: what people ask of a release.

A request is an annotation that the operator takes once. It is written only to the release that was
looked at: one that moved on meanwhile is left alone.
"""

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from canary.cli.cluster import Context, Kubeconfig, Names, Namespace, session
from canary.cli.output import OBJECTS, TEXT, Form, ObjectOutput, form_of, printed
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from canary.cli.asking import Asked, Wanted
    from canary.core.snapshot import Verb


class DryRun(StrEnum):
    """How much is really done."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Dry = Annotated[
    DryRun,
    typer.Option(
        "--dry-run", help="client: only say what would be written; server: have it checked there."
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Until the operator has taken it (30 s).")]

HELP: Final = {
    "promote": "Approve the present step; resume it where it is paused.",
    "pause": "Keep the weight as it is; what protects goes on.",
    "resume": "Go on with a release that is paused.",
    "abort": "Take the traffic away from the canary now, and roll back.",
    "retry": "Try the template that was rolled back once more.",
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
        form = form_of(output, OBJECTS)
        if wait and dry_run is not DryRun.NONE:
            raise UsageError("--wait waits for what a dry run never brings: leave out one of them")
        from canary.cli import asking  # noqa: PLC0415 - keeps --help quick
        from canary.core.snapshot import Verb  # noqa: PLC0415 - as above

        with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
            wanted = asking.wanted(cluster, Verb(verb), list(dict.fromkeys(names)))
            if dry_run is DryRun.NONE and not yes:
                _confirm(Verb(verb), wanted)
            done = [asking.ask(cluster, one, dry_run) for one in wanted]
            _say(done, form, dry_run)
            if wait:
                for one in done:
                    typer.echo(asking.taken(cluster, one), err=form != TEXT)

    asked.__name__ = verb
    asked.__doc__ = HELP[verb] + _MORE
    return asked


def _confirm(verb: "Verb", wanted: "Sequence[Wanted]") -> None:
    """Asks a person; without one, says what to do. Ends the command after a no."""
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"nobody can be asked here: give --yes to {verb} without a question")
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


def _say(done: "Sequence[Asked]", form: Form, dry_run: DryRun) -> None:
    if form != TEXT:
        typer.echo(printed(form, [one.object for one in done], one=len(done) == 1), nl=False)
        return
    note = {
        DryRun.NONE: "",
        DryRun.CLIENT: " (dry run: nothing was sent)",
        DryRun.SERVER: " (server dry run: nothing was kept)",
    }[dry_run]
    for one in done:
        typer.echo(f"{one.wanted.sight.title}: {one.wanted.verb} asked: {one.wanted.effect}{note}")


promote, pause, resume, abort, retry = map(command, HELP)
