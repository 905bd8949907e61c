"""Where receivers' secrets are read, anew for each message: they are rotated in place.

No error repeats what a Secret holds.
"""

import base64
import binascii
from pathlib import Path
from typing import Protocol

from canary.api.notify import SecretRef
from canary.errors import PermanentError, TransientError
from canary.kube.objects import SECRETS, Objects


class Secrets(Protocol):
    """Who knows them."""

    def read(self, namespace: str, ref: SecretRef) -> str:
        """The text, without white space around it. Raises PermanentError, TransientError."""
        ...


class ClusterSecrets:
    """Secrets in the release's namespace: the operator needs a Role there that names them."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def read(self, namespace: str, ref: SecretRef) -> str:
        """See Secrets."""
        found = self._objects.get(SECRETS, namespace, ref.name)
        if found is None:
            raise PermanentError(f"there is no Secret {ref.name} in {namespace}")
        encoded = (found.get("data") or {}).get(ref.key)
        if encoded is None:
            raise PermanentError(f"Secret {ref.name} in {namespace} has no key {ref.key}")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError):
            raise PermanentError(f"Secret {ref.name}, key {ref.key}, cannot be read") from None
        return _text(raw, f"Secret {ref.name}, key {ref.key},")


class MountedSecrets:
    """Secrets mounted into the operator's pod: a folder for each, a file for each key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, namespace: str, ref: SecretRef) -> str:
        """See Secrets; the namespace does not matter."""
        del namespace
        file = self._folder / ref.name / ref.key
        try:
            raw = file.read_bytes()
        except OSError as error:
            # A volume that is being changed may be incomplete for a moment.
            raise TransientError(f"{file} cannot be read: {error.strerror}") from None
        return _text(raw, str(file))


def _text(raw: bytes, where: str) -> str:
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or "\n" in text or "\r" in text:
        raise PermanentError(f"{where} should hold one line of text")
    return text
