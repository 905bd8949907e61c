"""Passwords and tokens."""

import hmac
from asyncio import to_thread

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 1024
"""Memory per hash. Far below OWASP's minimum of 7 MiB, as two cores run the whole demo: 0.4 ms per
login."""


def password_hasher() -> PasswordHasher:
    """Return an Argon2id hasher with the demo's cost."""
    return PasswordHasher(time_cost=1, memory_cost=MEMORY_KIB, parallelism=1)


class Passwords:
    """Hashes in a thread, so the event loop is not blocked."""

    def __init__(self) -> None:
        self._hasher = password_hasher()

    async def hash(self, password: str) -> str:
        """Return a new salted hash."""
        return await to_thread(self._hasher.hash, password)

    async def match(self, password_hash: str, password: str) -> bool:
        """Return whether the password matches the hash."""
        try:
            return await to_thread(self._hasher.verify, password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


class Tokens:
    """Signed account ids: `ID.SIGNATURE`. Any instance with the same secret can check them."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def issue(self, account: int) -> str:
        """Return a token for the account."""
        return f"{account}.{self._sign_text(str(account))}"

    def check(self, token: str) -> int | None:
        """Return the account of a token; None if the token is invalid."""
        account, _, signature = token.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._sign_text(account).encode())
        return int(account) if genuine and account.isdecimal() else None

    def _sign_text(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()
