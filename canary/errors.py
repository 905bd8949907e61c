"""Error types by how to react to them, and the exit codes, which are part of the public API."""

from enum import IntEnum
from typing import TypeVar

_E = TypeVar("_E", bound=BaseException)


class ExitCode(IntEnum):
    """Exit codes of every command; docs/exit-codes.md documents them as API."""

    OK = 0
    """Promoted or passed."""
    ERROR = 1
    """A run-time error."""
    USAGE = 2
    """Invalid options, an invalid file, or a command that is not possible now."""
    FAILED = 3
    """The canary failed or was rolled back."""
    TIMED_OUT = 4
    PAUSED = 5
    """Waiting for approval, or paused."""
    INCONCLUSIVE = 6
    """No data, or not enough of it."""
    NOT_FOUND = 7
    """Not found, or forbidden."""
    INTERRUPTED = 130


class CanaryError(Exception):
    """An error for people: what was expected, what was found, where, and what to do."""

    exit_code: ExitCode = ExitCode.ERROR


class TransientError(CanaryError):
    """An error that may go away: retry after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(CanaryError):
    """An error that a retry does not solve: a person has to act."""


class UsageError(PermanentError):
    """The input is invalid: an option, a file or a value."""

    exit_code = ExitCode.USAGE


class NotFoundError(PermanentError):
    """The object does not exist, or access is forbidden."""

    exit_code = ExitCode.NOT_FOUND


class ConflictError(TransientError):
    """A compare-and-swap failed because another client wrote; the next reconcile reads again."""


def drop_frames(error: _E) -> _E:
    """Return the error after removing its traceback and those of its causes.

    For errors that are expected and kept, in a result or by a library (tenacity). A traceback keeps
    every function that was running with all its values, such as a release and its samples. If one
    of the values refers to the error, all of them stay until the garbage collector's next run.
    """
    chain: list[BaseException] = [error]
    for one in chain:
        one.__traceback__ = None
        causes = (one.__cause__, one.__context__)
        chain += [cause for cause in causes if cause is not None and cause not in chain]
    return error


def install_command(extra: str) -> str:
    """Return the command that installs an extra, from where this program was installed.

    A program installed from a clone or a file uses that path (PEP 610), any other the package name:
    `pip install '/home/me/canary[load]'`, `pip install 'canary-controller[load]'`.
    """
    import json  # noqa: PLC0415 - every command imports this module; few print this
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - as above
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - as above

    package = "canary-controller"
    try:
        origin = distribution(package).read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    url = urlsplit(json.loads(origin)["url"] if origin else "")
    source = unquote(url.path) if url.scheme == "file" else package
    return f"pip install '{source}[{extra}]'"


def require_extra(extra: str, purpose: str, *modules: str) -> None:
    """Raise CanaryError, naming the command that installs the extra, if a module is missing."""
    from importlib.util import find_spec  # noqa: PLC0415 - as above

    if not all(map(find_spec, modules)):
        raise CanaryError(f"{purpose}: {install_command(extra)}")
