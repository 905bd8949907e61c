"""The dashboard of connection pools, by service, version and pod."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    FieldTextAlignment,
)
from grafana_foundation_sdk.models.dashboard import Panel

from canary.alerts import AlertSettings
from canary.alerts.pools import EXHAUSTION, IN_USE, LEAK, MAXIMUM, REFUSED, RESIDUAL, UTILISATION
from canary.alerts.pools import WAITING as CALLERS
from tools.panels import (
    GREEN,
    RED,
    YELLOW,
    columns,
    framed,
    lines,
    now,
    number,
    option,
    start,
    steps,
    variable,
    with_line,
)

NEVER = 1e9
"""Seconds that stand for no end in sight."""
LIMIT = float(AlertSettings().limit)
POD = "{{service}} {{version}} {{pod}} {{pool}}"
POOLS = '{namespace=~"$namespace",service=~"$service",version=~"$version"}'


def pools() -> dashboard.Dashboard:
    """In use, maximum, waiting, leak residual and time to exhaustion, with the 75 % line."""
    made = start(
        "Database connections",
        "canary-pools",
        "Connection pools by service, version and pod. Needs the recording rules of canary.",
    )
    for name in ("namespace", "service", "version"):
        made.with_variable(variable(name, IN_USE))
    for panel in (*_pool_numbers(), _pool_table(), *_pool_lines()):
        made.with_panel(panel)
    return made


def _pool_numbers() -> Sequence[Builder[Panel]]:
    return (
        number(
            "Fullest pool",
            "Largest share of a pod's pool that is in use; never an average.",
            f"max({UTILISATION}{POOLS})",
            "percentunit",
            (None, GREEN),
            (LIMIT, RED),
        ),
        number(
            f"Pools above {LIMIT:.0%}",
            "How many pods are nearly out of connections.",
            f"count({UTILISATION}{POOLS} > {LIMIT}) or vector(0)",
            "short",
            (None, GREEN),
            (1, RED),
        ),
        number(
            "First pool is empty in",
            "Free connections by what is lost per second; none where nothing leaks.",
            f"min({EXHAUSTION}{POOLS})",
            "s",
            (None, RED),
            (2 * 3600, YELLOW),
            (24 * 3600, GREEN),
        ),
        number(
            "Waiting",
            "Callers that wait for a connection now.",
            f"sum({CALLERS}{POOLS}) or vector(0)",
            "short",
            (None, GREEN),
            (1, RED),
        ),
    )


def _pool_table() -> table.Panel:
    panel = framed(
        table.Panel(),
        "Pools, the most urgent first",
        "One row per pod and pool, as of now.",
        24,
        10,
    )
    by = ("namespace", "service", "version", "pod", "pool")
    # What is empty would come first when it is sorted.
    end = f"{EXHAUSTION}{POOLS} or 0 * {IN_USE}{POOLS} + {NEVER:.0f}"
    queries = {
        "Share in use": f"{UTILISATION}{POOLS}",
        "In use": f"{IN_USE}{POOLS}",
        "Maximum": f"{MAXIMUM}{POOLS}",
        "Waiting": f"{CALLERS}{POOLS}",
        # It looks back ten minutes: a pod that is gone would be a row with nothing else in it.
        "Not given back": f"{RESIDUAL}{POOLS} and on (namespace, pod, pool) {IN_USE}{POOLS}",
        "Empty in": end,
    }
    names = {label: label.capitalize() for label in by}
    for index, (head, expression) in enumerate(queries.items()):
        letter = chr(ord("A") + index)
        # Without the metric's name: rows are merged where all labels are the same.
        panel.with_target(now(f"max by ({', '.join(by)}) ({expression})", letter, rows=True))
        names[f"Value #{letter}"] = head
    for transformation in columns(names):
        panel.with_transformation(transformation)
    share = [
        option("unit", "percentunit"),
        option("min", 0),
        option("max", 1),
        option("custom.cellOptions", {"type": "gauge", "mode": "basic"}),
        option("thresholds", steps((None, GREEN), (LIMIT, RED)).build().to_json()),
    ]
    none = {"type": "range", "options": {"from": NEVER, "to": None, "result": {"text": "–"}}}
    return (
        panel.align(FieldTextAlignment.AUTO)
        .inspect(False)
        .override_by_name("Share in use", share)
        .override_by_name("Not given back", [option("decimals", 1)])
        .override_by_name("Empty in", [option("unit", "s"), option("mappings", [none])])
        .sort_by(
            [
                common.TableSortByFieldState().display_name("Empty in"),
                common.TableSortByFieldState().display_name("Share in use").desc(True),
            ]
        )
    )


def _pool_lines() -> Sequence[Builder[Panel]]:
    by = "namespace, service, version"
    return (
        with_line(
            lines(
                "Share of each pool in use",
                f"Per pod. The line is {LIMIT:.0%}.",
                "percentunit",
                **{POD: f"{UTILISATION}{POOLS}"},
            ).max(1),
            LIMIT,
        ),
        lines(
            "In use and maximum, by service and version",
            "Sums over the pods of a version.",
            "short",
            **{
                "{{service}} {{version}} in use": f"sum by ({by}) ({IN_USE}{POOLS})",
                "{{service}} {{version}} maximum": f"sum by ({by}) ({MAXIMUM}{POOLS})",
            },
        ),
        lines("In use, by pod", "Connections.", "short", **{POD: f"{IN_USE}{POOLS}"}),
        lines(
            "Waiting for a connection, by pod",
            "Callers that wait, and per second those that gave up (with database/sql: waited).",
            "short",
            **{f"{POD} waiting": f"{CALLERS}{POOLS}", f"{POD} gave up /s": f"{REFUSED}{POOLS}"},
        ),
        with_line(
            lines(
                "Leak residual, by pod",
                "In use beyond rate × hold time (Little's law): connections that nobody gives "
                "back. Traffic cancels out. Only for exporters with hold times.",
                "short",
                **{POD: f"{RESIDUAL}{POOLS}"},
            ),
            LEAK,
        ),
        lines(
            "Time to exhaustion, by pod",
            "Only while connections are being lost.",
            "s",
            **{POD: f"{EXHAUSTION}{POOLS}"},
        ),
    )
