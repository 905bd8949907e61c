"""Builds and validates the options of a Prometheus client from user input."""

import logging
from pathlib import Path
from urllib.parse import urlsplit

from canary.errors import UsageError
from canary.metrics.prometheus import PrometheusOptions

_log = logging.getLogger(__name__)
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


def options_of(
    url: str | None, token: Path | None = None, ca: Path | None = None
) -> PrometheusOptions | None:
    """Return the options; None if no address was given.

    Raises:
        UsageError: not a URL, or a file that cannot be read.
    """
    if url is None:
        return None
    address = checked_url("--prometheus", url)
    warn_of_plain_token(address, token)
    return PrometheusOptions(
        url=address,
        attempts=2,
        bearer_token_file=readable("--prometheus-token-file", token),
        ca_file=readable("--prometheus-ca-file", ca),
    )


def warn_of_plain_token(url: str, token: Path | None) -> None:
    """Say that a token is sent unencrypted, unless it stays on this machine."""
    parts = urlsplit(url)
    if token is not None and parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        _log.warning("the token in %s is sent to %s without encryption: use https", token, url)


def checked_url(flag: str, url: str) -> str:
    """Return the URL unchanged. Raises UsageError if it is invalid or contains a password."""
    if "@" in url:
        raise UsageError(
            f"{flag}: expected an address without name and password, found one with them: messages "
            "would show them, and they are not sent; give them in files"
        )
    if not _is_url(url):
        raise UsageError(f"{flag}: expected http://HOST:PORT or https://…, found {url!r}")
    return url


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        found = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # An incomplete IPv6 address, or a port that is not a number.
        return False
    return bool(found) and not any(one.isspace() for one in url)


def readable(flag: str, path: Path | None) -> Path | None:
    """Return the path unchanged. Raises UsageError if it cannot be read."""
    if path is not None:
        try:
            path.read_bytes()
        except OSError as error:
            raise UsageError(f"{flag} {path} cannot be read: {error.strerror}") from error
    return path
