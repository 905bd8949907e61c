"""The leaking version of `store.renew_hash`: it takes a connection without `async with`."""

from typing import TYPE_CHECKING

from canary.demo.auth.store import RENEW_HASH

if TYPE_CHECKING:
    from canary.demo.auth.pool import Pool


async def renew_hash(pool: "Pool", account: int, password_hash: str) -> None:
    """Replace the hash of an account. The connection is never returned, which causes the outage."""
    connection = await pool.getconn()
    await connection.execute(RENEW_HASH, (password_hash, account))
