"""What a version holds, as PostgreSQL itself sees it: pg_stat_activity by application_name.

In use is what is not idle (a leak in a transaction stays `idle in transaction`), and what is idle
and was not touched by all of the last load: a pool hands its connections around, and a lost one
is never used again. A connection lost in mid-load shows after the next one, hence `lag`.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from canary.core.series import NoData
from canary.errors import CanaryError, TransientError, UsageError
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
    """Asks a server, over one connection of its own."""

    lag = 1

    def __init__(self, dsn: str, application: str, maximum: float | None = None) -> None:
        """Connects; `maximum` is the size of the version's pool, which the server does not know.

        Raises:
            CanaryError: psycopg is not installed.
            UsageError: that is no connection string.
            TransientError: no connection; the password is in no message.
        """
        if find_spec("psycopg") is None:
            raise CanaryError("--postgres needs psycopg: pip install 'canary-controller[postgres]'")
        self._application = application
        self._maximum = {} if maximum is None else {application: maximum}
        self._known = False
        self._connection = _connect_postgres(dsn)
        self._since = self._fetch_rows(_NOW_QUERY)[0][0]

    def look(self) -> Reading | NoData:
        """The connections of the version now."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            return self._count_connections()
        except psycopg.Error as error:
            return NoData(f"PostgreSQL does not answer: {_first_line(error)}")

    def begin_load(self) -> None:
        """Idle connections that were used last before now are no longer the pool's."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            self._since = self._fetch_rows(_NOW_QUERY)[0][0]
        except psycopg.Error:
            return  # the next look says why

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _count_connections(self) -> Reading | NoData:
        asked = {"since": self._since, "name": self._application}
        ((busy, lost, count, hidden),) = self._fetch_rows(_COUNT_QUERY, asked)
        if hidden:
            return NoData("PostgreSQL hides what others do: GRANT pg_read_all_stats TO the role")
        self._known = self._known or bool(count)
        if not self._known:
            names = (
                ", ".join(str(row[0]) for row in self._fetch_rows(_NAMES_QUERY))
                or "none to be seen"
            )
            return NoData(
                f"no connection of PostgreSQL has the application_name {self._application!r} "
                f"(there are: {names}); other roles' are seen with pg_read_all_stats only"
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
            "--postgres: a connection string is expected, such as postgresql://USER@HOST/DATABASE "
            "or host=HOST dbname=DATABASE; what was given is none"
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
