"""Turns every error into one message on standard error and one documented exit code."""

import os
import sys
import traceback
from collections.abc import Callable

from canary.errors import CanaryError, ExitCode, install_command
from canary.text.sanitize import sanitize_output


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
