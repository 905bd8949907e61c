"""Builds and validates the options of a Prometheus client from user input."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from canary.errors import UsageError
from canary.metrics.prometheus import PrometheusOptions

_log = logging.getLogger(__name__)
_HISTORY_TIMEOUT = 60.0
"""Seconds: a week of history takes a server longer than the last minute."""
_HISTORY_BYTES = 256 << 20
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


@dataclass(frozen=True, slots=True)
class PrometheusLogin:
    """The URL of Prometheus and the credentials for it, as given."""

    url: str | None
    token: Path | None = None
    ca: Path | None = None
    user: str | None = None
    password: Path | None = None

    def options(self) -> PrometheusOptions:
        """Return them validated, with limits for long ranges.

        Raises:
            UsageError: an option is missing or invalid; the message names it.
        """
        options = options_of(self.url, self.token, self.ca)
        if options is None:
            raise UsageError("--prometheus: the URL of a Prometheus is expected, found none")
        if self.password is not None and self.user is None:
            raise UsageError("--prometheus-password-file: --prometheus-user is missing")
        if self.user is not None and self.token is not None:
            raise UsageError("give either --prometheus-token-file or --prometheus-user, not both")
        return replace(
            options,
            username=self.user,
            password_file=readable("--prometheus-password-file", self.password),
            read_timeout=_HISTORY_TIMEOUT,
            max_bytes=_HISTORY_BYTES,
        )
