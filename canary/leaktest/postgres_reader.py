"""Counts a version's connections in PostgreSQL: pg_stat_activity by application_name.

A connection is in use if it is not idle (a leak inside a transaction stays `idle in transaction`),
or if it is idle and the whole last load did not use it: a pool reuses its connections, and a
leaked one is never used again. A connection that leaks in the middle of a load therefore shows
after the next load, hence `lag`.
"""

from typing import TYPE_CHECKING, Any, Final

from canary.core.series import NoData
from canary.errors import TransientError, UsageError, require_extra
from canary.leaktest.evaluation import Reading

if TYPE_CHECKING:
    import psycopg

_APPLICATION_NAME: Final = "canary-leaktest"
_CONNECT_SECONDS: Final = 5
_NOW_QUERY: Final = "SELECT clock_timestamp()"
_COUNT_QUERY: Final = """
SELECT count(*) FILTER (WHERE state <> 'idle'),
       count(*) FILTER (WHERE state = 'idle' AND state_change < %(since)s),
       count(*), count(*) FILTER (WHERE query = '<insufficient privilege>')
FROM pg_stat_activity WHERE application_name = %(name)s AND pid <> pg_backend_pid()
"""
_NAMES_QUERY: Final = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE application_name <> '' AND pid <> pg_backend_pid() ORDER BY 1 LIMIT 10
"""


class PostgresActivityReader:
    """Queries a server over one connection of its own."""

    lag = 1

    def __init__(self, dsn: str, application: str, maximum: float | None = None) -> None:
        """Connect; `maximum` is the size of the version's pool, which the server does not know.

        Raises:
            CanaryError: psycopg is not installed.
            UsageError: not a connection string.
            TransientError: no connection; the message never contains the password.
        """
        require_extra("postgres", "--postgres needs psycopg", "psycopg")
        self._application = application
        self._maximum = {} if maximum is None else {application: maximum}
        self._known = False
        self._connection = _connect_postgres(dsn)
        self._since = self._fetch_rows(_NOW_QUERY)[0][0]

    def read(self) -> Reading | NoData:
        """Count the version's connections now."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            return self._count_connections()
        except psycopg.Error as error:
            return NoData(f"PostgreSQL does not answer: {_first_line(error)}")

    def begin_load(self) -> None:
        """Remember the time: idle connections not used since then count as in use."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            self._since = self._fetch_rows(_NOW_QUERY)[0][0]
        except psycopg.Error:
            return  # the next reading reports it

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _count_connections(self) -> Reading | NoData:
        asked = {"since": self._since, "name": self._application}
        ((busy, lost, count, hidden),) = self._fetch_rows(_COUNT_QUERY, asked)
        if hidden:
            return NoData(
                "PostgreSQL hides the activity of other roles: GRANT pg_read_all_stats TO the role"
            )
        self._known = self._known or bool(count)
        if not self._known:
            names = ", ".join(str(row[0]) for row in self._fetch_rows(_NAMES_QUERY)) or "none"
            return NoData(
                f"PostgreSQL has no connection with application_name {self._application!r} "
                f"(found: {names}); connections of other roles need pg_read_all_stats"
            )
        return Reading({self._application: float(busy + lost)}, self._maximum)

    def _fetch_rows(self, query: str, values: dict[str, object] | None = None) -> list[Any]:
        return self._connection.execute(query.encode(), values).fetchall()


def _connect_postgres(dsn: str) -> "psycopg.Connection[Any]":
    import psycopg  # noqa: PLC0415 - an extra
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - an extra

    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its message repeats the text, password and all
        raise UsageError(
            "--postgres: expected a connection string such as postgresql://USER@HOST/DATABASE or "
            "host=HOST dbname=DATABASE"
        ) from None
    try:
        return psycopg.connect(
            dsn,
            autocommit=True,
            application_name=_APPLICATION_NAME,
            connect_timeout=_CONNECT_SECONDS,
            options="-c statement_timeout=5s",
        )
    except psycopg.Error as error:
        said = _first_line(error)
        secret = str(parts.get("password") or "")
        said = said.replace(secret, "…") if secret else said
        raise TransientError(f"--postgres: cannot connect: {said}") from None


def _first_line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), "no reason given"
    )
