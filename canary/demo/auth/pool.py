"""The connection pool, and its statistics as metrics."""

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

CONNECT_SECONDS = 3
SESSION_OPTIONS = "-c statement_timeout=5s -c idle_in_transaction_session_timeout=10s"
"""Server-side timeouts, so no statement holds a connection forever."""

GAUGES = ("pool_min", "pool_max", "pool_size", "pool_available", "requests_waiting")
COUNTERS = (
    "requests_num",
    "requests_queued",
    "requests_wait_ms",
    "requests_errors",
    "usage_ms",
    "connections_num",
    "connections_errors",
    "connections_lost",
)


def make_pool(dsn: str, *, maximum: int, timeout: float, name: str) -> Pool:
    """Return a closed pool of at most `maximum` connections; `timeout` (s) is the wait for one."""
    return AsyncConnectionPool(
        dsn,
        min_size=min(2, maximum),
        max_size=maximum,
        timeout=timeout,
        name=name,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": name,
            "connect_timeout": CONNECT_SECONDS,
            "options": SESSION_OPTIONS,
        },
    )


class PoolCollector(Collector):
    """`psycopg_pool`'s own statistics under their own names.

    Counters are untyped, because a typed one would be renamed to `…_total`. `usage_ms` is the
    library's sum of hold times, each truncated to whole milliseconds. A hold time is added when the
    connection is returned, so that of a leaked one is never added.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        stats = self._pool.get_stats()
        yield from _build_metrics(GAUGES, "gauge", stats)
        yield from _build_metrics(COUNTERS, "unknown", stats)


def _build_metrics(names: Iterable[str], kind: str, stats: dict[str, int]) -> Iterator[Metric]:
    for name in names:
        metric = Metric(name, f"psycopg_pool's {name}", kind)
        metric.add_sample(name, {}, stats.get(name, 0))
        yield metric
