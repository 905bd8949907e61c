"""The closing line of a run: how many tests passed, failed and were skipped in all processes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")


@dataclass(frozen=True, slots=True)
class PytestRun:
    """One pytest process: which test or file it ran, whether it exited with 0, its output."""

    test: str
    good: bool
    output: str

    def counts(self) -> dict[str, int]:
        """Tests by result, read from pytest's own last line.

        A process that did not get as far as that line, or exited with another code than 0 without
        a failed test, counts as one failed test.
        """
        lines = [line for line in self.output.splitlines() if re.search(r" in \d+\.\d+s", line)]
        found = dict.fromkeys(("passed", "failed", "skipped"), 0)
        for number, result in _COUNT.findall(lines[-1] if lines else ""):
            found["failed" if result.startswith("error") else result] += int(number)
        if not self.good and not found["failed"]:
            found["failed"] = 1
        return found


def summary(runs: Sequence[PytestRun]) -> str:
    """For example: 61 passed, 0 failed, 5 skipped."""
    each = [run.counts() for run in runs]
    totals = {name: sum(one[name] for one in each) for name in ("passed", "failed", "skipped")}
    return ", ".join(f"{number} {name}" for name, number in totals.items())
