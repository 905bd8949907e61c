"""Runs the releases: `python -m e2e.harness`; see docs/e2e.md.

First the parts, a file each, without an operator; then whole releases: each test is a pytest of its
own with its own namespace; so many at a time as --jobs says, those of the operator's bad days alone.
"""

import argparse
import fcntl
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.harness import installed, used_permissions
from e2e.harness.auth import IMAGE
from e2e.harness.clusters import NoClusterError, cluster
from e2e.harness.gateways import GATEWAYS, Gateway, NoGatewayError, choose
from e2e.harness.kubectl import kubectl, now
from e2e.harness.postgres import NAMESPACE, start_postgres
from e2e.harness.result_table import render_costs, render_table, write_block, write_table
from e2e.harness.totals import PytestRun, summary

os.environ.setdefault("CANARY_E2E_RUN", secrets.token_hex(2))
os.environ.setdefault("ROUTE_ECHO_IMAGE", IMAGE)  # any with Python
os.environ.setdefault("WORKLOADS_CHECK_IMAGE", IMAGE)

from e2e.fixtures_releases import namespace_of

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("CANARY_E2E_FULL") == "1"
SHARED = os.environ.get("CANARY_E2E_SHARED") == "1"
SIDE_BY_SIDE = (
    "e2e/test_releases.py",
    "e2e/test_protection.py",
    "e2e/test_emergencies.py",
    *(("e2e/test_capacity.py", "e2e/test_isolation.py", "e2e/test_ends.py") if FULL else ()),
    *(("e2e/test_routes.py", "e2e/test_workers.py", "e2e/test_checks.py") if FULL else ()),
    *(("e2e/test_releases_more.py", "e2e/test_migration.py") if FULL else ()),
    *(("e2e/test_analyze_examples.py",) if FULL else ()),
)
ALONE = ("e2e/test_disruptions.py",)
PAGES = ("e2e/test_install_page.py", "e2e/test_documented_commands.py")
"""They install and uninstall the operator as documented, so they run one by one without another."""
WHOLE = {
    "test_install_page.py",
    "test_documented_commands.py",
    "test_releases.py",
    "test_releases_more.py",
    "test_protection.py",
    "test_emergencies.py",
    "test_capacity.py",
    "test_isolation.py",
    "test_ends.py",
    "test_routes.py",
    "test_workers.py",
    "test_checks.py",
    "test_migration.py",
    "test_analyze_examples.py",
    "test_disruptions.py",
    "test_envoy.py",
}
"""Files with whole releases; the others try one part each, and need no operator in the cluster."""
SECONDS = 600.0
"""The longest that one test may take."""


class BusyError(RuntimeError):
    """Two runs at once would take the operator away from each other."""


def main() -> int:
    """0 when every test passed or was skipped."""
    parser = argparse.ArgumentParser(prog="e2e.harness", description=__doc__)
    parser.add_argument("--gateway", choices=GATEWAYS, default="traefik", help="who routes")
    parser.add_argument("--jobs", type=int, default=2, help="tests side by side")
    parser.add_argument(
        "--write",
        action="store_true",
        help="figures go to docs/benchmarks.md; with -k only the rows measured",
    )
    parser.add_argument("--figures", type=Path, help="kept here, beside those of other runs")
    parser.add_argument("--keep", action="store_true", help="leave the operator installed")
    parser.add_argument("-k", dest="only", default="", help="as pytest's")
    chosen = parser.parse_args()
    try:
        with _alone(), cluster(), TemporaryDirectory() as passing:
            figures = (chosen.figures or Path(passing)).resolve()
            figures.mkdir(parents=True, exist_ok=True)
            os.environ["CANARY_E2E_FIGURES"] = str(figures)
            return _run(chosen, choose(chosen.gateway), figures)
    except (BusyError, NoGatewayError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except NoClusterError as error:
        sys.stdout.write(f"end-to-end tests skipped: {error}\n")
        return 0


@contextmanager
def _alone() -> Iterator[None]:
    """One run at a time: each installs the operator its own way, and removes it at its end.

    Raises:
        BusyError: another run is going on here.
    """
    with (ROOT / ".venv" / "e2e.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError("another run of these tests is going on in this directory") from error
        yield


def _run(chosen: argparse.Namespace, gateway: Gateway, figures: Path) -> int:
    files = (SIDE_BY_SIDE, ALONE) if gateway.tests is None else ((gateway.tests,), ())
    beside, alone = (_collect(paths, chosen.only) if paths else [] for paths in files)
    parts = [] if chosen.only or gateway.tests else _parts()
    if not beside + alone:
        sys.stdout.write(f"no test matches {chosen.only!r}\n")
        return 2
    began = now()
    runs = _play(parts, chosen.jobs)
    documented = list(PAGES) if FULL and parts else []
    runs += _play(documented, 1)
    with _set_up(beside + alone, keep=chosen.keep):
        runs += _play(beside, chosen.jobs) + _play(alone, 1)
        minutes = (now() - began) / 60
        unused = (
            used_permissions.list_unused(figures)
            if FULL and not (chosen.only or gateway.tests)
            else []
        )
    found = render_table(figures)
    costs = render_costs(figures)
    sys.stdout.write(f"\n{found}\n{costs}\n{len(runs)} tests in {minutes:.1f} minutes\n")
    failed = [run.test for run in runs if not run.good]
    for test in failed:
        sys.stdout.write(f"failed: {test}\n")
    for right in unused:
        sys.stdout.write(f"granted, and never used: {right}\n")
    if chosen.write:
        page = ROOT / "docs/benchmarks.md"
        text, some = page.read_text("utf-8"), bool(chosen.only)
        text = write_block(text, costs, "in-flight") if costs else text
        page.write_text(write_table(text, found, gateway.marker, keep_others=some), "utf-8")
    sys.stdout.write(f"{summary(runs)}\n")
    return int(bool(failed or unused))


def _parts() -> list[str]:
    files = sorted((ROOT / "e2e").glob("test_*.py"))
    return [f"e2e/{file.name}" for file in files if file.name not in WHOLE]


def _collect(paths: Sequence[str], only: str) -> list[str]:
    options = ["--collect-only", "-q", *(["-k", only] if only else [])]
    command = [sys.executable, "-m", "pytest", *options, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "::" in line and " " not in line]


@contextmanager
def _set_up(tests: Sequence[str], *, keep: bool) -> Iterator[None]:
    """The operator and PostgreSQL are there while the block runs."""
    names = [namespace_of(test.rpartition("::")[2]) for test in tests]
    try:
        installed.install(names if SHARED else ())
        start_postgres()
        yield
    finally:
        if not keep:
            installed.uninstall()
            kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def _play(tests: Sequence[str], jobs: int) -> list[PytestRun]:
    """Runs each test in a process of its own; what it printed appears when it is over."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(_run_test, tests))


def _run_test(test: str) -> PytestRun:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "--no-header", test]
    began = now()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        said, good = done.stdout + done.stderr, done.returncode == 0
    except subprocess.TimeoutExpired:
        said, good = f"not over after {SECONDS:g} s", False
    used_permissions.record_permissions(Path(os.environ["CANARY_E2E_FIGURES"]))
    sys.stdout.write(f"== {test} ({now() - began:.0f} s)\n{said}\n")
    sys.stdout.flush()
    return PytestRun(test, good, said)


if __name__ == "__main__":
    sys.exit(main())
