"""Every command of README.md and docs/, run as written by a new user on a cluster."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from e2e.fixtures_documented import (
    available,
    empty_cluster,
    monitored,
    run,
    section,
    serving,
    ship,
    status,
    user_workspace,
)
from e2e.harness import installed
from e2e.harness.kubectl import kubectl
from e2e.harness.postgres import start_postgres
from tools.documented_commands import Block, pages, read_blocks


def _marks(block: Block) -> list[pytest.MarkDecorator]:
    return [pytest.mark.skip(reason=block.reason)] if block.reason else []


OWN_TESTS = {"docs/install.md", "docs/migrate-flagger.md", "docs/migrate-argo-rollouts.md"}
"""Pages that need another cluster: e2e/test_install_page.py and e2e/test_migration.py."""
BLOCKS = [
    pytest.param(block, id=str(block), marks=_marks(block))
    for page in pages()
    for block in read_blocks(page)
    if block.page not in OWN_TESTS
]
"""pytest lists those that are not run, with their reasons."""
_versions = count(2)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The operator is installed as docs/install.md says, and the service serves."""
    method = "Helm" if available("helm") else "kustomize"
    empty_cluster()
    start_postgres()
    with user_workspace(tmp_path_factory.mktemp("user")) as folder, monitored(), serving():
        try:
            for block in section("docs/install.md", method):
                run(block, folder)
            installed.rolled_out()
            yield folder
        finally:
            kubectl("-n", "prod", "delete", "canaryreleases", "--all", "--timeout=150s")
            for block in section("docs/install.md", f"Uninstall with {method}"):
                run(block, folder)


@pytest.fixture
def paused_release(workspace: Path) -> Path:
    """A release in flight that a person has paused: what most pages begin with."""
    installed.rolled_out()  # a block before may have changed the operator
    if status().get("phase") != "Paused" or not status().get("weight"):
        ship(f"v{next(_versions)}")
    return workspace


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_work_as_written(block: Block, paused_release: Path) -> None:
    """Each command of the block succeeds."""
    if block.needs and not available(block.needs):
        pytest.skip(f"needs {block.needs}")
    run(block, paused_release)
