"""Rooms for real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.workdir import work_directory


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A work directory (in the system's place for them: sockets need a short path)."""
    with work_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def supervisor(room: Path) -> Iterator[Supervisor]:
    """Stops whatever the module's tests started."""
    with Supervisor(room / "logs") as supervisor:
        yield supervisor
