"""What the leaking version changed: `store.renew`, where somebody wanted one line less indented."""

from typing import TYPE_CHECKING

from canary.demo.auth.store import RENEW_HASH

if TYPE_CHECKING:
    from canary.demo.auth.pool import Pool


async def renew_hash(pool: "Pool", account: int, password_hash: str) -> None:
    """Replace the hash of an account. The connection is never returned, which causes the outage."""
    connection = await pool.getconn()
    await connection.execute(RENEW_HASH, (password_hash, account))
