"""Runs the commands of .github/workflows here: `python -m tools.workflow_runs [-k TEXT] [--list]`.

In a copy of the source whose changelog is prepared as for a release. Steps that need GitHub, a
registry, a cluster or root are listed with the reason, and not run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from canary import __version__

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    r"\bsudo\b|apt-get": "needs root, on a runner",
    r"\bgh\b": "creates a release on GitHub",
    r"\bcosign\b": "signs with the identity of a workflow",
    r"helm push": "publishes to a registry",
    r"\bdocker\b": "needs a container engine",
    r"make release-check": "asks a service for known vulnerabilities",
    r"make e2e": "needs a container engine; .ci/run does it on a given cluster",
    r"make links": "asks other people's servers",
    r"go install": "installs a program",
}
"""What cannot be run here, and why."""
CONTEXTS = {
    "github.repository": "example/canary",
    "github.repository_owner": "example",
    "github.server_url": "https://code.example",
    "github.token": "",
}
_EXPRESSION = re.compile(r"\$\{\{ *([\w.]+) *\}\}")


@dataclass(frozen=True, slots=True)
class Step:
    """One `run:` of a workflow."""

    where: str
    """Workflow and job."""
    script: str
    environment: dict[str, str]

    @property
    def reason(self) -> str | None:
        """Why it cannot be run here."""
        found = (why for pattern, why in ELSEWHERE.items() if re.search(pattern, self.script))
        return next(found, None)


def read_steps(workflow: Path) -> Iterator[Step]:
    """The commands of a workflow, in order."""
    document = yaml.safe_load(workflow.read_text("utf-8"))
    for name, job in document["jobs"].items():
        for step in job["steps"]:
            if "run" in step:
                given = {**document.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                environment = {key: _fill(str(value)) for key, value in given.items()}
                yield Step(f"{workflow.name}: {name}", _fill(step["run"]).strip(), environment)


def _fill(text: str) -> str:
    return _EXPRESSION.sub(lambda found: CONTEXTS.get(found[1], ""), text)


def prepared_copy(folder: Path) -> Path:
    """A copy of the source as it is when a release is tagged."""
    copy = folder / "source"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", "__pycache__", "dist", "build", "site"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    log = copy / "CHANGELOG.md"
    heading = f"## [Unreleased]\n\n## [{__version__}] - 2026-12-31"
    log.write_text(log.read_text("utf-8").replace("## [Unreleased]", heading, 1), "utf-8")
    return copy


def run(step: Step, copy: Path) -> bool:
    """Runs the commands as a runner does; whether they succeeded."""
    github: dict[str, Any] = {
        "GITHUB_REF_NAME": f"v{__version__}",
        "GITHUB_OUTPUT": str(copy.parent / "output"),
    }
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 - our own workflows
        ["bash", "-e", "-o", "pipefail", "-c", step.script],  # noqa: S607 - as a runner does
        cwd=copy,
        env=environment | github | step.environment,
        check=False,
    )
    return done.returncode == 0


def main() -> int:
    """0 when every command that was run succeeded."""
    parser = argparse.ArgumentParser(prog="tools.workflow_runs", description=__doc__)
    parser.add_argument("-k", dest="only", default="", help="only steps that contain this text")
    parser.add_argument("--list", action="store_true", help="run nothing")
    chosen = parser.parse_args()
    workflows = sorted((ROOT / ".github/workflows").glob("*.yaml"))
    steps = [step for path in workflows for step in read_steps(path) if chosen.only in step.script]
    failed = 0
    with TemporaryDirectory() as folder:
        copy = prepared_copy(Path(folder))
        for step in steps:
            line = f"{step.where}: {' '.join(step.script.split())}"
            if step.reason or chosen.list:
                print(f"{'not run' if step.reason else 'can run'}: {line}", end="")
                print(f" ({step.reason})" if step.reason else "", flush=True)
                continue
            good = run(step, copy)
            failed += not good
            print(f"{'passed' if good else 'FAILED'}: {line}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
