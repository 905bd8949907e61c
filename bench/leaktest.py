"""How soon `canary leaktest` finds a leak, and how often a good version is failed.

`python -m bench.leaktest [--write] [--runs 20]`: the demo's auth service with a real PostgreSQL and
a real pool of 50, whose leaking version loses the connection of one login in 200 or 2,000. Each run
is against new processes, and ends when the test is sure.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from canary.api import Verdict
from canary.demo.cluster.instances import Build, start_instance
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.workdir import work_directory
from canary.demo.load.accounts import PASSWORD, create_accounts
from canary.errors import ExitCode
from canary.leaktest.evaluation import LeakTestPolicy
from canary.leaktest.metrics_reader import MetricsPageReader
from canary.leaktest.run import run_leak_test
from canary.leaktest.types import LeakTestTiming, SubjectUnderTest
from canary.loadtest.generator import (
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestData,
    RequestMix,
    RequestTemplate,
    parse_template,
)
from canary.results.gate_result import GateResult

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
START, END = "<!-- bench-leaktest:start -->", "<!-- bench-leaktest:end -->"
RATE = 250.0
LEAK_RATE = 350.0
"""Requests/s: a leak of 1 in 2,000 takes some 20,000 requests to be sure of."""
USERS = 20_000
POOL = 50
HEAD = (
    *("version", "requests/s", "runs", "failed", "passed", "inconclusive"),
    *("median", "longest", "requests", "the first says"),
)
PACE = LeakTestTiming(most=240.0)
LOGIN = f'{{"user": "user-{{{{ row }}}}", "password": "{PASSWORD}"}}'
MIX = RequestMix(
    (
        RequestTemplate(
            "login", 1, "POST", parse_template("/login"), body=parse_template(LOGIN), in_json=True
        ),
    ),
    RequestData(made_up={"user": parse_template("user-{{ row }}")}, count=USERS),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A version."""

    name: str
    build: Build
    runs: int
    rate: float


def rows(runs: int, leaks: int) -> tuple[Row, ...]:
    """The good version `runs` times, each leak `leaks` times."""
    return (
        Row("good", Build(pool_max=POOL), runs, RATE),
        Row("leak of 1 in 200", _leak(200), leaks, LEAK_RATE),
        Row("leak of 1 in 2,000", _leak(2000), leaks, LEAK_RATE),
    )


def _leak(every: int) -> Build:
    return Build("leak", pool_max=POOL, leak_every=every)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.leaktest", description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=20, help="of the good version")
    parser.add_argument("--leaks", type=int, default=3, help="runs of each leak")
    chosen = parser.parse_args(arguments)
    lines = [f"Load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.", ""]
    lines += list(_lines(rows(chosen.runs, chosen.leaks)))
    print("\n".join(lines))
    if chosen.write:
        _write(lines)
    return 0


def _lines(asked: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for row in (one for one in asked if one.runs):
        ended = [_run(row, number) for number in range(row.runs)]
        codes = [one.code for one in ended]
        seconds = [one.seconds for one in ended]
        requests = statistics.median(int(str(one.facts["requests"])) for one in ended)
        cells = (
            row.name,
            f"{row.rate:g}",
            str(row.runs),
            str(codes.count(ExitCode.FAILED)),
            str(codes.count(ExitCode.OK)),
            str(codes.count(ExitCode.INCONCLUSIVE)),
            f"{statistics.median(seconds):.0f} s",
            f"{max(seconds):.0f} s",
            f"{requests:,.0f}",
            ended[0].headline.partition(" (")[0],
        )
        yield f"| {' | '.join(cells)} |"


def _run(row: Row, number: int) -> GateResult:
    with _service(row.build, number) as url:
        plan = LoadPlan(
            url, LoadSchedule((LoadStage(row.rate, row.rate, 1),)), MIX, seed=1_000_000 * number
        )
        pages = MetricsPageReader([f"{url}/metrics"], None)
        try:
            ended = run_leak_test(
                SubjectUnderTest(plan, pages),
                None,
                LeakTestPolicy(),
                PACE,
                now=time.time(),  # noqa: TID251 - a benchmark is its own clock
                stop=Event(),
                show=lambda _: None,
            )
        finally:
            pages.close()
    print(f"{row.name}, run {number + 1}: {ended.code.name} {ended.seconds:.0f} s {ended.headline}")
    for case in ended.cases:
        if case.verdict is not Verdict.PASS:
            print(f"  {case.verdict} {case.name}: {case.sentence}")
    return ended


@contextmanager
def _service(build: Build, seed: int) -> Iterator[str]:
    with work_directory() as room, Supervisor(room / "logs") as supervisor:
        postgres = start_postgres(supervisor, room / "pg", max_connections=POOL + 20)
        create_accounts(postgres.dsn, USERS)
        instance = start_instance(supervisor, "auth", dsn=postgres.dsn, build=build, seed=seed)
        instance.wait_ready()
        yield instance.url


def _write(lines: list[str]) -> None:
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + "\n".join([START, *lines, END]) + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
