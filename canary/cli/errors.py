"""Whatever goes wrong becomes one message on standard error and one documented exit code."""

import os
import sys
import traceback
from collections.abc import Callable

from canary.errors import CanaryError, ExitCode


def guarded(call: Callable[[], int], *, debug: bool) -> int:
    """The exit code of `call`; errors are said, never thrown at a person.

    With `debug` an error's traceback comes before its message.
    """
    try:
        code = call()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except CanaryError as error:
        return _say(str(error), error.exit_code, debug=debug)
    except ModuleNotFoundError as error:
        hint = "pip install 'canary-controller[demo]'"
        message = f"the Python module {error.name} is missing: {hint}"
        return _say(message, ExitCode.ERROR, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last net: a person gets a sentence
        hint = "" if debug else " (run again with --debug for the traceback)"
        return _say(f"{_described(error)}{hint}", ExitCode.ERROR, debug=debug)
    return code


def _say(message: str, code: ExitCode, *, debug: bool) -> ExitCode:
    if debug:
        traceback.print_exc()
    if sys.stderr is not None:  # None (`2>&-`) would put it among the results
        print(f"canary: {message}", file=sys.stderr)  # noqa: T201 - this is the place to say it
    return code


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    lines = str(error).splitlines()
    return f"unexpected {type(error).__name__}{f': {lines[0]}' if lines else ''}"


def _reader_left() -> ExitCode:
    """`canary … | head` is no error to talk about; the interpreter's last flush must not either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.ERROR
