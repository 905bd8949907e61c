"""Accounts in PostgreSQL. `async with` returns every connection to the pool."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary.demo.auth.pool import Pool

FIND_ACCOUNT = "SELECT id, password_hash FROM accounts WHERE name = %s"
ADD_ACCOUNT = """
INSERT INTO accounts (name, password_hash) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id
"""
RENEW_HASH = "UPDATE accounts SET password_hash = %s, renewed_at = now() WHERE id = %s"
READ_SECRET = "SELECT secret FROM settings"  # noqa: S105  # a query, not a secret


@dataclass(frozen=True, slots=True)
class Account:
    """A registered user."""

    id: int
    password_hash: str


async def find_account(pool: "Pool", name: str) -> Account | None:
    """Return the account with that name; None if there is none."""
    async with pool.connection() as connection:
        row = await (await connection.execute(FIND_ACCOUNT, (name,))).fetchone()
    return Account(*row) if row else None


async def add_account(pool: "Pool", name: str, password_hash: str) -> int | None:
    """Register an account; returns its id, or None if the name is taken."""
    async with pool.connection() as connection:
        row = await (await connection.execute(ADD_ACCOUNT, (name, password_hash))).fetchone()
    return int(row[0]) if row else None


async def renew_hash(pool: "Pool", account: int, password_hash: str) -> None:
    """Replace the hash of an account whose hash was made with outdated parameters."""
    async with pool.connection() as connection:
        await connection.execute(RENEW_HASH, (password_hash, account))


async def read_secret(pool: "Pool") -> str:
    """Read the secret that signs tokens; all instances share it through the database."""
    async with pool.connection() as connection:
        row = await (await connection.execute(READ_SECRET)).fetchone()
    if row is None:
        raise LookupError("the table settings has no secret: run canary.demo.load.accounts first")
    return str(row[0])
