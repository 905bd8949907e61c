"""Runs the load generator as a child process, and reads its records."""

from pathlib import Path

from canary.demo.cluster.processes import ChildProcess, Command, Supervisor, python_module
from canary.demo.cluster.workdir import LocalError
from canary.demo.load.schedule import LoadProfile
from canary.demo.load.tally import LoadRecord

FINISH_SECONDS = 15.0
"""Longer than the timeout of outstanding requests (10 s)."""


class LoadProcess:
    """Running load. Made by `start_load_process`."""

    def __init__(self, child: ChildProcess, output: Path) -> None:
        self.child = child
        self._output = output
        self._position = 0

    def poll(self) -> list[LoadRecord]:
        """Return the records since the last call: one per second, and the totals at the end."""
        with self._output.open("rb") as output:
            output.seek(self._position)
            whole, newline, _ = output.read().rpartition(b"\n")
        self._position += len(whole) + len(newline)
        return [LoadRecord.from_json(line) for line in whole.decode().splitlines()]

    def finish(self) -> LoadRecord:
        """Stop sending, wait for the outstanding answers, and return the totals.

        Raises:
            LocalError: the process died without writing them.
        """
        self.child.stop()
        last = self._output.read_text(encoding="utf-8").splitlines()[-1:]
        record = LoadRecord.from_json(last[0]) if last else None
        if record is None or record.kind != "summary":
            raise LocalError(f"the load generator wrote no totals: {self.child.describe_end()}")
        return record


def start_load_process(
    supervisor: Supervisor, output: Path, *, url: str, profile: LoadProfile
) -> LoadProcess:
    """Start sending; the lines go to the file `output`.

    Raises:
        LocalError: the process cannot be started.
    """
    options = {
        "url": url,
        "rate": profile.rate,
        "day": profile.day,
        "users": profile.users,
        "seed": profile.seed,
    }
    arguments = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    child = supervisor.start(
        Command(
            "load",
            python_module("canary.demo.load.generator", *arguments),
            output=output,
            grace=FINISH_SECONDS,
        )
    )
    return LoadProcess(child, output)
