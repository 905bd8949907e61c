"""What every kind of login has in common."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from canary.errors import TransientError

Headers = Mapping[str, str]


class CredentialsError(TransientError):
    """A request cannot be logged in; the message contains no secret."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What is signed."""

    method: str
    url: str
    headers: Headers
    body: bytes


class Login(Protocol):
    """Logs requests in, from any thread."""

    def headers(self, request: SentRequest) -> Headers:
        """Return the headers to add. Raises CredentialsError."""
        ...

    def refused(self) -> None:
        """Note that the server answered 401."""
        ...


def stamp_of(files: Iterable[Path]) -> tuple[object, ...]:
    """Return a value that changes when one of the files is replaced or written."""
    return tuple(map(_stamp, files))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
