"""Token and certificate of the metrics port, from files that may be replaced at any time.

A Secret that is mounted into the pod is such a file: the kubelet replaces it some time after the
Secret changes, and nothing restarts. So both are read again when they are needed: the token for
each request, and the certificate for the first connection after its files have changed.
"""

import hmac
import logging
import ssl
from pathlib import Path

from canary.errors import UsageError

_log = logging.getLogger(__name__)


class BearerToken:
    """The token that a request for metrics has to bring."""

    def __init__(self, path: Path) -> None:
        """Read the file once. Raises UsageError if it cannot be read or contains no token."""
        self._path = path
        self._read_token()

    def accepts(self, authorization: str) -> bool:
        """Return whether the value of the Authorization header contains the token.

        Nobody is accepted while the file cannot be read.
        """
        scheme, _, sent = authorization.strip().partition(" ")
        try:
            expected = self._read_token()
        except UsageError as error:
            _log.warning("no request for metrics is accepted: %s", error)
            return False
        same = hmac.compare_digest(sent.strip().encode(), expected.encode())
        return same and scheme.lower() == "bearer"

    def _read_token(self) -> str:
        try:
            token = self._path.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise UsageError(f"--metrics-token-file: cannot read {self._path}: {error}") from error
        if not token:
            raise UsageError(f"--metrics-token-file: expected a token in {self._path}, found none")
        return token


class ServerCertificate:
    """The certificate of the metrics port and its private key, in PEM."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load the files once. Raises UsageError if they are no certificate with its key."""
        self._files = (certificate, key)
        self._times, self._context = self._read_modified(), self._load_context()

    def context(self) -> ssl.SSLContext:
        """Return the certificate for a new connection, loaded again if the files have changed.

        The previous one stays in use while the files cannot be read or do not belong together.
        """
        try:
            if (times := self._read_modified()) != self._times:
                self._context, self._times = self._load_context(), times
        except UsageError as error:
            _log.warning("the metrics port keeps its previous certificate: %s", error)
        return self._context

    def _read_modified(self) -> tuple[int, ...]:
        try:
            return tuple(file.stat().st_mtime_ns for file in self._files)
        except OSError as error:
            raise UsageError(f"--metrics-tls-cert, --metrics-tls-key: {error}") from error

    def _load_context(self) -> ssl.SSLContext:
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An empty password: OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise UsageError(
                f"--metrics-tls-cert, --metrics-tls-key: expected a certificate in {certificate} "
                f"and its private key in {key}, both PEM and without a password: {error}"
            ) from error
        return context
