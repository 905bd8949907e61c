"""Tries faults on a real cluster: `python -m e2e.faults`; see docs/e2e.md."""

import argparse
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from e2e.faults.cases import CASES
from e2e.faults.context import FaultCase, FaultResult, try_fault
from e2e.faults.crashes import CRASH_CASES, try_crashes
from e2e.faults.environment import FaultEnvironment, set_up
from e2e.faults.releases import ReleaseUnderFault
from e2e.faults.result_table import render_table, write_table
from e2e.harness.clusters import NoClusterError, cluster

KINDS = ("good", "bad", "rest")


def main() -> int:
    """0 when every invariant held."""
    parser = argparse.ArgumentParser(prog="e2e.faults", description=__doc__)
    parser.add_argument(
        "-k", dest="only", default="", help="faults whose names match this regular expression"
    )
    parser.add_argument("--jobs", type=int, default=2, help="faults tried side by side")
    parser.add_argument("--list", action="store_true", help="print the names of all faults")
    parser.add_argument("--write", action="store_true", help="the table goes to docs/benchmarks.md")
    chosen = parser.parse_args()
    names = [*(crash.name for crash in CRASH_CASES), *(case.name for case in CASES)]
    if chosen.list:
        sys.stdout.write("\n".join(names) + "\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what has been made is removed
    try:
        with cluster(), set_up(secrets.token_hex(2)) as env:
            results = []
            for result in _try_all(env, chosen.only, chosen.jobs):
                results.append(result)
                if chosen.write:  # at once: what ends the run early costs no row
                    write_table([result])
    except NoClusterError as error:
        sys.stdout.write(f"faults skipped: {error}\n")
        return 0
    sys.stdout.write(f"\n{render_table(results)}")
    return int(any(result.violations for result in results) or not results)


def _try_all(env: FaultEnvironment, only: str, jobs: int) -> Iterator[FaultResult]:
    for crash in CRASH_CASES:
        if re.search(only, crash.name):
            yield _report(try_crashes(crash, env))
    cases = [case for case in CASES if re.search(only, case.name)]
    if not cases:
        return
    groups = [env.releases(*(f"{kind}-{job}" for kind in KINDS)) for job in range(jobs)]
    with env.load([one for group in groups for one in group]) as failures:
        free = Queue[list[ReleaseUnderFault]]()
        for group in groups:
            free.put(group)

        def run(case: FaultCase) -> FaultResult:
            group = free.get()
            try:
                return _report(try_fault(case, env, group, failures))
            finally:
                free.put(group)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                yield from pool.map(run, [case for case in cases if not case.alone])
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        yield from (run(case) for case in cases if case.alone)


def _report(result: FaultResult) -> FaultResult:
    sys.stdout.write(f"{result}\n")
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    sys.exit(main())
