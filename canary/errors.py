"""Errors sorted by what to do next, and the exit codes that are part of the public interface."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What every command of `canary` returns; documented as API in docs/exit-codes.md."""

    OK = 0
    """Promoted or passed."""
    ERROR = 1
    """Something broke at run time."""
    USAGE = 2
    """Wrong flags, a wrong file, or a command that makes no sense now."""
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
    """An error to show to a person: what was expected, what was found, where, what to do next."""

    exit_code: ExitCode = ExitCode.ERROR


class TransientError(CanaryError):
    """It may work next time: the caller tries again, not before `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(CanaryError):
    """Trying again changes nothing: a person has to."""


class UsageError(PermanentError):
    """The input is wrong: a flag, a file, a value."""

    exit_code = ExitCode.USAGE


class NotFoundError(PermanentError):
    """What was asked for is not there, or not for us to see."""

    exit_code = ExitCode.NOT_FOUND


class ConflictError(TransientError):
    """Somebody else wrote in between: a compare-and-swap was refused, the next pass looks again."""
