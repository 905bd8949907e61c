"""Open-loop load through the gateway, with every failed request and its time."""

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import IO, Any

from canary.clock import now

RATE = 50.0
"""Requests/s: as in the figures of the peers."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that did not get a 2xx."""

    at: float
    """Seconds since the epoch."""
    status: str
    version: str
    """Who answered; `none` when it was the router, or nobody."""


@dataclass
class RunningLoad:
    """What became of the requests so far."""

    failures: list[Failure] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    """Requests answered with 2xx, by instance (pod)."""
    seconds: list[tuple[float, int]] = field(default_factory=list)
    """(end of the second since the epoch, requests sent in it)."""

    @property
    def sent(self) -> int:
        """Requests that were due until now."""
        return sum(count for _, count in self.seconds)

    def failed(self, start: float, end: float, version: str | None = None) -> list[Failure]:
        """Those that failed in this span, of one version or of all."""
        return [
            failure
            for failure in self.failures
            if start <= failure.at <= end and version in (None, failure.version)
        ]

    def __str__(self) -> str:
        kinds = Counter((one.status, one.version) for one in self.failures)
        failed = ", ".join(f"{count} × {status} of {who}" for (status, who), count in kinds.items())
        return f"{self.sent} requests, failed: {failed or 'none'}"

    def take(self, line: dict[str, Any]) -> None:
        """One line of canary.demo.load.generator."""
        if line["kind"] == "failure":
            self.failures.append(Failure(now(), line["status"], line["version"]))
        if line["kind"] == "second":
            self.seconds.append((now(), line["sent"]))
            for instance, count in line["ok_by_instance"].items():
                self.answered[instance] = self.answered.get(instance, 0) + count


@contextmanager
def run_load(host: str, rate: float = RATE, timeout: float = 10.0) -> Iterator[RunningLoad]:
    """Sends while the block runs; at its end all answers are in.

    A request fails after `timeout` seconds.
    """
    options = {
        "--url": os.environ["GATEWAY_URL"],
        "--host": host,
        "--rate": str(rate),
        "--timeout": str(timeout),
        "--seed": str(secrets.randbelow(10**9)),  # names that it registers must be new
    }
    words = [word for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "canary.demo.load.generator", *words, "--failures"]
    load = RunningLoad()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = Thread(target=_read, args=(process.stdout, load))
        reader.start()
        try:
            yield load
        finally:
            process.terminate()
            reader.join(timeout=timeout + 10)


def _read(lines: IO[str], load: RunningLoad) -> None:
    for line in lines:
        load.take(json.loads(line))
