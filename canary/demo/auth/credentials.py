"""Passwords and tokens."""

import hmac
from asyncio import to_thread

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 1024
"""Far below what OWASP asks (7 MiB and up): two cores carry the whole demo, 0.4 ms a login."""


def password_hasher() -> PasswordHasher:
    """Argon2id at the demo's cost."""
    return PasswordHasher(time_cost=1, memory_cost=MEMORY_KIB, parallelism=1)


class Passwords:
    """Hashing in a thread, so that the event loop is not held up."""

    def __init__(self) -> None:
        self._hasher = password_hasher()

    async def hash(self, password: str) -> str:
        """A new salted hash."""
        return await to_thread(self._hasher.hash, password)

    async def match(self, password_hash: str, password: str) -> bool:
        """Whether the password is the one of this hash."""
        try:
            return await to_thread(self._hasher.verify, password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


class Tokens:
    """Signed account ids: `ID.SIGNATURE`. Any instance with the same secret can check them."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def issue(self, account: int) -> str:
        """A token for the account."""
        return f"{account}.{self._sign(str(account))}"

    def check(self, token: str) -> int | None:
        """The account that the token was issued for, or None when it is no token of ours."""
        account, _, signature = token.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._sign(account).encode())
        return int(account) if genuine and account.isdecimal() else None

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()
