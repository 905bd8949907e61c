"""`canary operator` as processes on this machine, each behind proxies of its own."""

import base64
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from e2e.faults.proxy import FaultProxy
from e2e.harness.installed import LEASE, NAMESPACE, ROOT
from e2e.harness.kubectl import kubectl

ACCOUNT = "canary"
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The API server, and the token of the operator's own ServiceAccount."""

    server: str
    context: ssl.SSLContext
    token: str


def read_access() -> ClusterAccess:
    """Return how the cluster of KUBECONFIG is reached, with the operator's own rights."""
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    cluster: dict[str, Any] = config["clusters"][0]["cluster"]
    context = ssl.create_default_context()
    if data := cluster.get("certificate-authority-data"):
        context.load_verify_locations(cadata=base64.b64decode(data).decode())
    token = kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=24h").strip()
    return ClusterAccess(cluster["server"], context, token)


@dataclass
class OperatorProcess:
    """One operator with its proxies."""

    api: FaultProxy
    prometheus: FaultProxy
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    exits: list[int] = field(default_factory=list)
    """Exit codes of processes that the supervisor has replaced."""

    def start(self) -> None:
        """Start it; the caller waits for what it needs."""
        with self.log.open("ab") as lines:
            environment = {**os.environ, **self.environment}
            self.child = subprocess.Popen(self.command, stderr=lines, env=environment)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; without effect when the process has ended."""
        assert self.child is not None
        self.child.send_signal(number)

    def kill(self) -> None:
        """End it without a moment to tidy up."""
        self.send(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired."""
        assert self.child is not None
        return self.child.wait(seconds)

    def crashes(self) -> list[str]:
        """Return log lines about errors that nobody expected."""
        wrong = ("Traceback", "unexpected error", "a worker failed", "could not be analyzed")
        if not self.log.is_file():  # a device such as /dev/full never ends
            return []
        lines = self.log.read_text("utf-8").splitlines()
        return [line[:600] for line in lines if any(word in line for word in wrong)]

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.child is not None and self.child.poll() is None

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Start it again whenever it has ended, as the kubelet would, while the block runs."""
        over = threading.Event()

        def restart() -> None:
            while not over.wait(0.2):
                if self.child is not None and (code := self.child.poll()) is not None:
                    self.exits.append(code)
                    self.start()

        thread = threading.Thread(target=restart, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(5)


@dataclass
class OperatorFactory:
    """Makes operators for some namespaces."""

    access: ClusterAccess
    prometheus: str
    folder: Path

    @contextmanager
    def operator(
        self,
        name: str,
        namespaces: Sequence[str],
        *,
        elect: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[OperatorProcess]:
        """Yield an operator that is not started yet; it is killed at the end of the block."""
        with ExitStack() as stack:
            api = FaultProxy(self.access.server, self.access.context)
            prometheus = FaultProxy(self.prometheus)
            kubeconfig = self.folder / f"{name}.kubeconfig"
            kubeconfig.write_text(self._kubeconfig(stack.enter_context(api.serve())))
            url = stack.enter_context(prometheus.serve())
            election = (
                ("--lease-namespace", NAMESPACE, "--lease-name", LEASE)
                if elect
                else ("--no-leader-elect",)
            )
            command = [
                *(sys.executable, "-m", "canary", "operator", "--kubeconfig", str(kubeconfig)),
                *("--prometheus-url", url, "--metrics-address", "127.0.0.1:0", *election),
                *(f"--namespace={one}" for one in namespaces),
            ]
            log = self.folder / f"{name}.log"
            log.unlink(missing_ok=True)
            process = OperatorProcess(api, prometheus, command, log, environment or {})
            try:
                yield process
            finally:
                if process.running:
                    process.kill()

    def keep_logs(self, case: str) -> None:
        """Copy the logs of all operators to .venv/faults/CASE."""
        kept = ROOT / ".venv" / "faults" / re.sub(r"[^a-z0-9]+", "-", case.lower())
        kept.mkdir(parents=True, exist_ok=True)
        for log in self.folder.glob("*.log"):
            shutil.copy(log, kept)

    def _kubeconfig(self, url: str) -> str:
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "proxy", "cluster": {"server": url}}],
                "users": [{"name": ACCOUNT, "user": {"token": self.access.token}}],
                "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": ACCOUNT}}],
                "current-context": "proxy",
            }
        )
