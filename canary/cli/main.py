"""The program `canary`, also `kubectl canary`, and its commands.

Only the module of the command in use is imported, and it imports slow modules inside its function,
so that `canary --help` and each command start quickly.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from canary import __version__
from canary.errors import CanaryError, ExitCode, UsageError, install_command
from canary.render.terminal import echo
from canary.text.sanitize import sanitize_output

if TYPE_CHECKING:
    from pydantic import ValidationError

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
"""The module in canary.cli of each command; the function has the name of the command."""
ALIASES: Final = {"list": "get"}
"""Other names of commands, which are not listed in the help."""
PLUGIN_COMPLETION: Final = (
    "kubectl completes its plugins itself: load the completion of kubectl, and put the program "
    "kubectl_complete-canary, which is installed beside kubectl-canary, on the PATH"
)

EXPECTED: Final = {
    "int_parsing": "a whole number such as 10",
    "int_from_float": "a whole number such as 10",
    "float_parsing": "a number such as 0.5",
    "bool_parsing": "true or false",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}
"""What an option expects, by the type of pydantic's error."""
STDOUT_CLOSED: Final = "standard output is closed: redirect it to /dev/null to discard the output"


class _CommandGroup(TyperGroup):
    """Reports an invalid value of an option in the form of all other messages."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # a type that typer does not export
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError  # noqa: PLC0415 - typer imports it for values only

            if isinstance(error.__cause__, ValidationError):
                error.message = describe_invalid_value(error.__cause__)
            raise


def build_app(commands: Iterable[str]) -> typer.Typer:
    """Return the program with these commands; with only one of them it starts in half the time."""
    app = typer.Typer(
        cls=_CommandGroup,
        help="Ships a new version of a service without hurting its users.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(global_options)
    for name in commands:
        module = import_module(f"canary.cli.{COMMANDS[name]}")
        function = getattr(module, ALIASES.get(name, name))
        app.command(name, hidden=name in ALIASES)(function)
    return app


def describe_invalid_value(error: "ValidationError") -> str:
    """Translate typer's or pydantic's message about a value: "expected one of text, json, found …".

    An enum's message is "'xml' is not one of 'text', 'json'."
    """
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").removesuffix(".")
    _, is_choice, choices = message.rpartition(" is not one of ")
    if is_choice:
        expected = "one of " + choices.replace("'", "")
    elif first["type"] in EXPECTED:
        expected = EXPECTED[first["type"]].format_map(first.get("ctx", {}))
    else:
        return message
    return f"expected {expected}, found {str(first['input'])!r}"


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"canary {__version__}")
        raise typer.Exit


def global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error.")
    ] = False,
) -> None:
    """Ships a new version of a service without hurting its users."""


def main(arguments: Sequence[str], program: str = "canary") -> int:
    """Run one command and return its exit code; `--debug` is accepted at any position."""
    rest = [argument for argument in arguments if argument != "--debug"]

    def call() -> int:
        if (
            sys.stdout is None
        ):  # With a closed standard output (`>&-`) fail now, before a long command starts.
            raise UsageError(STDOUT_CLOSED)
        if program != "canary" and {"--install-completion", "--show-completion"} & set(rest):
            raise UsageError(PLUGIN_COMPLETION)
        wanted = next((word for word in rest if not word.startswith("-")), "")
        app = build_app([wanted] if wanted in COMMANDS else COMMANDS)
        try:
            app(rest, prog_name=program)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        return 0

    return run_guarded(call, debug=len(rest) < len(arguments))


def run() -> NoReturn:
    """Entry point of the console scripts."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # A terminal whose encoding lacks × must not make the command fail.
    called = Path(sys.argv[0]).name
    sys.exit(main(sys.argv[1:], "kubectl canary" if called.startswith("kubectl") else "canary"))


def run_guarded(call: Callable[[], int], *, debug: bool) -> int:
    """Return the exit code of `call`; errors are printed as messages, not as tracebacks.

    With `debug` the traceback is printed before the message.
    """
    try:
        code = call()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _discard_output()
    except CanaryError as error:
        return _print_error(str(error), error.exit_code, debug=debug)
    except ModuleNotFoundError as error:
        hint = install_command("demo")
        message = f"the Python module {error.name} is missing: {hint}"
        return _print_error(message, ExitCode.ERROR, debug=debug)
    except Exception as error:  # noqa: BLE001 - people get a message, not a traceback
        hint = "" if debug else " (run again with --debug for the traceback)"
        return _print_error(f"{_describe_error(error)}{hint}", ExitCode.ERROR, debug=debug)
    return code


def _print_error(message: str, code: ExitCode, *, debug: bool) -> ExitCode:
    if debug:
        traceback.print_exc()
    if sys.stderr is not None:  # None with `2>&-`; print would write to standard output
        print(sanitize_output(f"canary: {message}"), file=sys.stderr)  # noqa: T201 - the one place that prints errors
    return code


def _describe_error(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    lines = str(error).splitlines()
    return f"unexpected {type(error).__name__}{f': {lines[0]}' if lines else ''}"


def _discard_output() -> ExitCode:
    """Ignore a closed pipe, as in `canary … | head`, also at the last flush of the interpreter."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.ERROR
