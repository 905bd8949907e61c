"""Connections as a real PostgreSQL sees them."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from canary.core.series import NoData
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.workdir import work_directory
from canary.leaktest.evaluation import Reading
from canary.leaktest.postgres_reader import PostgresActivityReader


@pytest.fixture(scope="module")
def postgres():
    """One server for all of them."""
    with work_directory() as room, Supervisor(room / "logs") as supervisor:
        yield start_postgres(supervisor, Path(room) / "pg", max_connections=20)


def held(reading):
    """Connections in use."""
    assert isinstance(reading, Reading)
    return sum(reading.in_use.values())


def test_what_is_not_idle_or_was_left_alone_is_in_use(postgres):
    """A transaction left open counts at once, an idle connection when no load touched it."""
    dsn = make_conninfo(postgres.dsn, application_name="auth")
    with (
        closing(PostgresActivityReader(postgres.admin_dsn, "auth", 10)) as activity,
        closing(psycopg.connect(dsn, autocommit=True)) as pooled,
        closing(psycopg.connect(dsn, autocommit=True)) as lost,
        closing(psycopg.connect(dsn)) as leaked,
    ):
        for connection in (pooled, lost, leaked):
            connection.execute("SELECT 1")
        assert held(activity.read()) == 1
        activity.begin_load()
        pooled.execute("SELECT 1")
        assert held(activity.read()) == 2
        leaked.rollback()
        activity.begin_load()
        for connection in (pooled, lost, leaked):
            connection.execute("SELECT 1")
            connection.rollback()
        reading = activity.read()
        assert held(reading) == 0
        assert reading.maximum == {"auth": 10}


def test_a_name_that_nobody_has_is_no_data(postgres):
    """And not zero connections: a typing error must not pass. Those that are there are named."""
    dsn = make_conninfo(postgres.dsn, application_name="auth-v2")
    with (
        closing(psycopg.connect(dsn)),
        closing(PostgresActivityReader(postgres.admin_dsn, "auth-v3")) as activity,
    ):
        answer = activity.read()
    assert isinstance(answer, NoData)
    assert "application_name 'auth-v3' (found: auth-v2" in answer.why


def test_what_a_role_may_not_see_is_no_data(postgres):
    """The superuser's sessions, seen by the service's role."""
    dsn = make_conninfo(postgres.admin_dsn, application_name="admin")
    with (
        closing(psycopg.connect(dsn)),
        closing(PostgresActivityReader(postgres.dsn, "admin")) as activity,
    ):
        answer = activity.read()
    assert isinstance(answer, NoData)
    assert "pg_read_all_stats" in answer.why


def test_a_server_that_is_gone_is_no_data(postgres):
    """One sentence, no traceback."""
    activity = PostgresActivityReader(postgres.admin_dsn, "x")
    activity.close()
    activity.begin_load()
    assert isinstance(activity.read(), NoData)
