"""Reads receivers' secrets for each message, as they may be rotated at any time.

Errors never repeat the content of a Secret.
"""

import base64
import binascii
from pathlib import Path
from typing import Protocol

from canary.api.notify import SecretRef
from canary.errors import PermanentError, TransientError
from canary.kube.objects import SECRETS, Objects


class SecretReader(Protocol):
    """Reads Secrets."""

    def read(self, namespace: str, ref: SecretRef) -> str:
        """Return the stripped text. Raises PermanentError, TransientError."""
        ...


class ClusterSecrets:
    """Reads Secrets of the release's namespace, which requires a Role for the operator there."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def read(self, namespace: str, ref: SecretRef) -> str:
        """See `SecretReader`."""
        found = self._objects.get(SECRETS, namespace, ref.name)
        if found is None:
            raise PermanentError(f"there is no Secret {ref.name} in {namespace}")
        encoded = (found.get("data") or {}).get(ref.key)
        if encoded is None:
            raise PermanentError(f"Secret {ref.name} in {namespace} has no key {ref.key}")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError):
            raise PermanentError(f"Secret {ref.name}, key {ref.key}: expected base64") from None
        return _decode_line(raw, f"Secret {ref.name}, key {ref.key}")


class MountedSecrets:
    """Reads Secrets mounted into the operator's pod: a folder per Secret, a file per key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, namespace: str, ref: SecretRef) -> str:
        """See `SecretReader`; ignores the namespace."""
        del namespace
        file = self._folder / ref.name / ref.key
        try:
            raw = file.read_bytes()
        except OSError as error:
            # A volume that is being changed may be incomplete for a moment.
            raise TransientError(f"cannot read {file}: {error.strerror}") from None
        return _decode_line(raw, str(file))


def _decode_line(raw: bytes, where: str) -> str:
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or "\n" in text or "\r" in text:
        raise PermanentError(f"{where}: expected one line of text")
    return text
