"""What all faults share: the operator's rights in the cluster, namespaces, load, and the observer."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import yaml

from canary.clock import now
from e2e.faults.observer import ClusterObserver, observe_cluster
from e2e.faults.processes import OperatorFactory, read_access
from e2e.faults.releases import ReleaseUnderFault
from e2e.harness.auth import host
from e2e.harness.installed import NAMESPACE, ROOT
from e2e.harness.kubectl import apply, kubectl, not_ending

PREFIX = "faults-"
RATE = 30.0
"""Requests per second and release."""


@dataclass
class LoadFailures:
    """Requests that failed: when, to which host, and which version answered (`none`: no pod)."""

    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def lost(self, release: ReleaseUnderFault) -> int:
        """Return how many requests failed since the last version was shipped, but not by its flaw."""
        assert release.plan is not None
        bad = "" if release.plan.healthy else release.plan.version
        mine = host(release.namespace)
        return sum(
            at >= release.shipped_at and to == mine and version != bad
            for at, to, version in self.lines
        )


@dataclass
class FaultEnvironment:
    """Everything that a fault is tried in."""

    run: str
    """Ends the names of namespaces: routers and Prometheus remember earlier ones."""
    observer: ClusterObserver
    operators: OperatorFactory
    _stack: ExitStack

    def releases(self, *names: str) -> list[ReleaseUnderFault]:
        """Return services in namespaces of their own, running, under load until the run ends."""
        made = [ReleaseUnderFault(f"{PREFIX}{name}-{self.run}", self.observer) for name in names]
        for release in made:
            self._stack.callback(release.tear_down)
            release.set_up()
        return made

    @contextmanager
    def load(self, releases: Sequence[ReleaseUnderFault]) -> Iterator[LoadFailures]:
        """Send requests to the releases while the block runs."""
        hosts = [host(release.namespace) for release in releases]
        words = (os.environ["GATEWAY_URL"], str(RATE), *hosts)
        command = [sys.executable, "-m", "e2e.faults.load", *words]
        failures = LoadFailures()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            lines = process.stdout
            assert lines is not None

            def read() -> None:
                for line in lines:
                    to, _, version = line.split()
                    failures.lines.append((now(), to, version))

            Thread(target=read, daemon=True).start()
            try:
                yield failures
            finally:
                process.terminate()


@contextmanager
def set_up(run: str) -> Iterator[FaultEnvironment]:
    """Install definition, rights and policies, but no operator, while the block runs."""
    not_ending(NAMESPACE)
    objects = [one for one in _manifests() if one["kind"] not in {"Deployment", "NetworkPolicy"}]
    apply(*objects, options=("--server-side", "--force-conflicts"))
    with ExitStack() as stack:
        stack.callback(_remove, objects)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="canary-faults-")))
        observer = stack.enter_context(observe_cluster(PREFIX))
        operators = OperatorFactory(read_access(), os.environ["PROMETHEUS_URL"], folder)
        yield FaultEnvironment(run, observer, operators, stack)


def _manifests() -> Iterator[dict[str, object]]:
    for path in ("install.yaml", "hold/policy.yaml", "fence/policy.yaml"):
        yield from yaml.safe_load_all((ROOT / "manifests" / path).read_text("utf-8"))


def _remove(objects: Sequence[dict[str, object]]) -> None:
    """Remove everything but the definition of CanaryRelease, which others may use."""
    mine = [one for one in objects if one["kind"] != "CustomResourceDefinition"]
    text = yaml.safe_dump_all(mine)
    kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=text)
