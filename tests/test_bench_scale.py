"""What `make bench-scale` writes: a row per stage, whichever run it came from."""

from bench.scale.counters import MIB, Counters, Resources
from bench.scale.tables import AtRest, InFlight, add_rows
from bench.scale.waiting import wait_for_progress

COUNTERS = Counters(0.6, 4.0, 2.0, 60.0, 0.0, 0.0, 8.0, 0.4, 1.0)
RESOURCES = Resources(100.0 * MIB, 30, 40)
NOTE = "No run is recorded yet.\n\n| some, old | table |\n| --- | --- |\n| 1, 2 | 3 |\n"


def at_rest(releases: int, cpu: float = 0.6) -> AtRest:
    """A stage at rest that used so many seconds of CPU."""
    used = Counters(cpu, 4.0, 2.0, 60.0, 0.0, 0.0, 8.0, 0.4, 1.0)
    return AtRest(releases, 10, 1.5, used, 120.0, RESOURCES, 2.0, 3.0, RESOURCES, 5.0)


def in_flight(count: int) -> InFlight:
    """A stage with so many releases in flight."""
    delays = (0.5, 0.7, 1.2)
    return InFlight(
        count,
        500,
        9.0,
        COUNTERS,
        120.0,
        RESOURCES,
        COUNTERS,
        delays,
        delays,
        ("CanaryOutage",),
        5.0,
    )


def rows_of(tables: str) -> list[str]:
    """The first cells of all rows."""
    return [line.split(" | ")[0].removeprefix("| ") for line in tables.splitlines() if "|" in line]


def test_each_stage_adds_its_rows_in_the_order_of_size() -> None:
    """A run that is broken off has written those of the stages before."""
    tables = NOTE
    for stage in (at_rest(1000), in_flight(10), at_rest(1)):
        tables = add_rows(tables, stage.rows())
    assert rows_of(tables) == [
        *("releases", "---", "1", "1,000"),
        *("in flight", "---", "10"),
        *("in flight", "---", "10"),
    ]
    assert (
        "| 1,000 | 0.50% of a core | 100 MiB (restarted: 100 MiB) | 40, 30 | 2.0, 1.0, 30 |"
        in tables
    )
    assert "| 10 | 500 | 0.70, 1.20, 1.20 s |" in tables


def test_a_stage_that_is_measured_again_replaces_its_row_only() -> None:
    """The others stay as they are written."""
    tables = add_rows(add_rows("", at_rest(1).rows()), at_rest(100).rows())
    again = add_rows(tables, at_rest(100, cpu=1.2).rows())
    assert again == tables.replace("| 100 | 0.50% of a core", "| 100 | 1.00% of a core")
    assert add_rows(again, ()) == again


def test_waiting_goes_on_while_less_remains() -> None:
    """A stage fails only when nothing happens any more, however slow the machine is."""
    left = iter([3, 3, 2, 1, 0])
    wait_for_progress("nothing to be left", lambda: next(left), seconds=60)
    assert next(left, None) is None
