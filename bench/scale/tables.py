"""The measured figures as Markdown, beside the goals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.scale.counters import MIB, Counters, Resources


@dataclass(frozen=True, slots=True)
class AtRest:
    """So many releases at rest."""

    releases: int
    new: int
    adopted: float
    """Seconds from the last of the new Deployments being ready to the last release at rest."""
    used: Counters
    """Within `seconds`."""
    seconds: float
    resources: Resources
    ready: float
    """Seconds from the start of another process to its readiness."""
    reconciled: float
    """Seconds until that process had reconciled all of them once."""
    started: Resources
    """Of that process."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """So many releases in flight at once, of `releases`."""

    count: int
    releases: int
    rise: float
    """Seconds from the first deployment to the last weight above 0."""
    used: Counters
    """Within `seconds`, while all are judged and none fails."""
    seconds: float
    resources: Resources
    ended: Counters
    """From the fault to the last weight of 0."""
    delays: Sequence[float]
    """Seconds from the scrape that decided to weight 0, ascending."""
    reactions: Sequence[float]
    """Seconds from the fault to weight 0, ascending."""
    reasons: tuple[str, ...]


def render(
    resting: Sequence[AtRest],
    flying: Sequence[InFlight],
    interval: float,
    load: tuple[float, float, float],
) -> Iterator[str]:
    """Yield the lines of both tables."""
    yield (
        f"Load average at the end {load[0]:.1f} (15 minutes: {load[2]:.1f}). CPU is the process's "
        "own time; seconds by the clock include waiting for other processes of the machine."
    )
    if resting:
        yield from _table(
            "At rest",
            "releases|CPU|memory|threads, files|reads, writes, lease per min|queries|"
            "new at rest after the last is ready|restart: ready|restart: all reconciled",
            map(_rest, resting),
        )
    if flying:
        yield from _table(
            f"In flight at once, interval {interval:g} s",
            "in flight, of|CPU|memory|threads, files|reads, writes per min|"
            "queries per interval|evaluation in Prometheus per min|reconciles per min|"
            "mean wait in the queue, above 0.1 s|all have weight after",
            (_flight(one, interval) for one in flying),
        )
        yield from _table(
            "All of these fail at once",
            "in flight, of|scrape that decides → weight 0: p50, p99, max|"
            "fault → weight 0: p50, p99, max|CPU until the last is at 0|writes|reasons",
            map(_failing, flying),
        )


def _rest(row: AtRest) -> str:
    used, per = row.used, 60 / row.seconds
    requests = f"{used.reads * per:.1f}, {used.writes * per:.1f}, {used.leases * per:.0f}"
    return (
        f"{row.releases:,}|{_share(used.cpu / row.seconds)}|{_memory(row.resources)} "
        f"(restarted: {_memory(row.started)})|{row.resources.threads}, {row.resources.files}|"
        f"{requests}|{used.queries:.0f}|{row.new}: {max(row.adopted, 0):.1f} s|"
        f"{row.ready:.1f} s|{row.reconciled:.1f} s"
    )


def _flight(row: InFlight, interval: float) -> str:
    used, per = row.used, 60 / row.seconds
    return (
        f"{_head(row)}|{_share(used.cpu / row.seconds)}|{_memory(row.resources)}|"
        f"{row.resources.threads}, {row.resources.files}|"
        f"{used.reads * per:.1f}, {used.writes * per:.0f}|"
        f"{used.queries / row.seconds * interval:.1f}|{used.evaluation * per:.2f} s|"
        f"{used.passes * per:.0f}|{1000 * used.waited / max(used.passes, 1):.0f} ms, "
        f"{used.slow / max(used.passes, 1):.1%}|{row.rise:.0f} s"
    )


def _failing(row: InFlight) -> str:
    return (
        f"{_head(row)}|{_quantiles(row.delays)}|{_quantiles(row.reactions)}|"
        f"{row.ended.cpu:.1f} s|{row.ended.writes:.0f}|{', '.join(row.reasons)}"
    )


def _head(row: InFlight) -> str:
    return f"{row.count:,}, {row.releases:,}"


def _quantiles(values: Sequence[float]) -> str:
    """Return p50, p99 and the maximum of ascending values."""
    if not values:
        return "–"
    last = len(values) - 1
    found = (values[round(last * 0.5)], values[round(last * 0.99)], values[last])
    return ", ".join(f"{one:.2f}" for one in found) + " s"


def _share(cores: float) -> str:
    return f"{cores:.2%} of a core"


def _memory(found: Resources) -> str:
    return f"{found.rss / MIB:.0f} MiB"


def _table(title: str, header: str, rows: Iterable[str]) -> Iterator[str]:
    yield from ("", f"#### {title}", "")
    cells = [row.split("|") for row in (header, *rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    for row in cells:
        yield f"| {' | '.join(row)} |"
