"""The program `canary`, also `kubectl canary`: its commands.

Command modules import what is heavy inside their function, so that `canary --help` is quick.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from canary import __version__
from canary.cli.analyze import analyze
from canary.cli.backtest import backtest
from canary.cli.demo import demo
from canary.cli.doctor import doctor
from canary.cli.errors import guarded
from canary.cli.explain import explain
from canary.cli.gate import gate
from canary.cli.get import get
from canary.cli.init import init
from canary.cli.lint import lint
from canary.cli.loadtest import loadtest
from canary.cli.manifests import manifests
from canary.cli.notify import notify
from canary.cli.operator import operator
from canary.cli.report import report
from canary.cli.requests import abort, pause, promote, resume, retry
from canary.cli.simulate import simulate
from canary.cli.status import status
from canary.errors import UsageError

PLUGIN_COMPLETION = (
    "kubectl completes its plugins by itself: its own completion has to be loaded, and the program "
    "kubectl_complete-canary, which is installed beside kubectl-canary, has to be on the PATH"
)

app = typer.Typer(
    help="Ships a new version of a service without hurting its users.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    demo,
    analyze,
    backtest,
    simulate,
    gate,
    loadtest,
    init,
    lint,
    doctor,
    manifests,
    notify,
    operator,
    get,
    status,
    explain,
    report,
    promote,
    pause,
    resume,
    abort,
    retry,
):
    app.command()(_command)
app.command("list", hidden=True)(get)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"canary {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")] = False,
) -> None:
    """Ships a new version of a service without hurting its users."""


def main(arguments: Sequence[str], program: str = "canary") -> int:
    """Runs one command and returns its exit code; `--debug` may stand anywhere."""
    rest = [argument for argument in arguments if argument != "--debug"]

    def call() -> int:
        if program != "canary" and {"--install-completion", "--show-completion"} & set(rest):
            raise UsageError(PLUGIN_COMPLETION)
        try:
            app(rest, prog_name=program)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        return 0

    return guarded(call, debug=len(rest) < len(arguments))


def run() -> NoReturn:
    """Entry point of the console scripts."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without × must not end a release
    called = Path(sys.argv[0]).name
    sys.exit(main(sys.argv[1:], "kubectl canary" if called.startswith("kubectl") else "canary"))
