"""The program `canary`, also `kubectl canary`: its commands.

Only the module of the command that is called is imported, and it imports what is heavy inside its
function: `canary --help` is quick, and so is each command.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from canary import __version__
from canary.cli.errors import guarded
from canary.errors import UsageError

COMMANDS: Final = {
    "demo": "demo",
    "analyze": "analyze",
    "backtest": "backtest",
    "simulate": "simulate",
    "gate": "gate",
    "loadtest": "loadtest",
    "leaktest": "leaktest",
    "init": "init",
    "lint": "lint",
    "access": "access",
    "doctor": "doctor",
    "manifests": "manifests",
    "notify": "notify",
    "pools": "pools",
    "operator": "operator",
    "get": "get",
    "list": "get",
    "status": "status",
    "explain": "explain",
    "report": "report",
    "promote": "release_commands",
    "pause": "release_commands",
    "resume": "release_commands",
    "abort": "release_commands",
    "retry": "release_commands",
    "undo": "release_commands",
    "restart": "release_commands",
}
"""Each command's module in canary.cli; its function has the command's name."""
SYNONYMS: Final = {"list": "get"}
"""Commands that are others by another name, and not in the list of commands."""
PLUGIN_COMPLETION: Final = (
    "kubectl completes its plugins by itself: its own completion has to be loaded, and the program "
    "kubectl_complete-canary, which is installed beside kubectl-canary, has to be on the PATH"
)

CLOSED: Final = "standard output is closed: there is nowhere to print to (> /dev/null drops it)"


def app_of(commands: Iterable[str]) -> typer.Typer:
    """The program with these commands: with one of them it starts in half the time."""
    app = typer.Typer(
        help="Ships a new version of a service without hurting its users.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for name in commands:
        module = import_module(f"canary.cli.{COMMANDS[name]}")
        function = getattr(module, SYNONYMS.get(name, name))
        app.command(name, hidden=name in SYNONYMS)(function)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"canary {__version__}")
        raise typer.Exit


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
        if sys.stdout is None:  # `>&-`: said before minutes are spent
            raise UsageError(CLOSED)
        if program != "canary" and {"--install-completion", "--show-completion"} & set(rest):
            raise UsageError(PLUGIN_COMPLETION)
        wanted = next((word for word in rest if not word.startswith("-")), "")
        app = app_of([wanted] if wanted in COMMANDS else COMMANDS)
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
