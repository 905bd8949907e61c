"""When something was scraped: the ends of the intervals in which a release is judged.

A Prometheus scrapes each target at its own moment of every scrape interval. A round is over once
every target of the canary has been scraped in it. Then each target, stable's too, has been scraped
about once since the last round: both sides are counted over the same time, and nothing is waited
for any longer. Example: canary pods are scraped at 1.2, 6.2, … and 3.7, 8.7, …; rounds end at 3.7,
8.7, …, as soon as the second pod's numbers are there.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from canary.core.series import Series

_EARLY = 0.9
"""Scrapes jitter: so much of the shortest interval is enough."""
_ALIVE = 2.5
"""Scrape intervals after which a target that was not scraped is not waited for."""
_GAPS = 20


@dataclass(frozen=True, slots=True)
class Rounds:
    """Intervals `(start, ends[0]], (ends[0], ends[1]], …` in seconds; none: nothing was scraped."""

    start: float
    ends: tuple[float, ...] = ()

    @property
    def end(self) -> float:
        """Up to where there are complete rounds."""
        return self.ends[-1] if self.ends else self.start

    def times(self) -> tuple[float, ...]:
        """The start and all ends, ascending."""
        return (self.start, *self.ends)

    def until(self, end: float) -> "Rounds":
        """Without those that end later."""
        return Rounds(self.start, tuple(one for one in self.ends if one <= end))


ScrapeTimes = Mapping[Hashable, Sequence[float]]
"""When each target was scraped, ascending."""


def collect_scrape_times(series: Iterable[Series]) -> dict[Hashable, list[float]]:
    """When each target was: all series of one scrape have its time."""
    longest: dict[Hashable, Series] = {}
    for one in series:
        target = target_key(one.labels)
        if target not in longest or len(one.points) > len(longest[target].points):
            longest[target] = one
    return {target: [time for time, _ in one.points] for target, one in longest.items()}


def target_key(labels: Mapping[str, str]) -> Hashable:
    """What was scraped: a port of a pod, for a job."""
    return labels.get("pod"), labels.get("instance"), labels.get("job")


def find_scrape_interval(times: ScrapeTimes) -> float | None:
    """The usual time between two scrapes of a target, in seconds; None where it is unknown."""
    gaps = [b - a for one in times.values() for a, b in pairwise(one[-_GAPS:])]
    return median(gaps) if gaps else None


def find_rounds(times: ScrapeTimes, start: float, end: float, shortest: float) -> Rounds:
    """The rounds of these targets after `start` up to `end`, none shorter than `shortest`.

    A round that waits for a target in vain is over when another target is scraped again.
    """
    moments = sorted(
        (t, who) for who, one in _number_targets(times) for t in one if start < t <= end
    )
    usual = find_scrape_interval(times) or shortest
    waited = {
        who
        for who, one in _number_targets(times)
        if any(start - _ALIVE * usual < t <= start for t in one)
    }
    seen: set[int] = set()
    ends: list[float] = []
    began, last = start, start
    for index, (time, who) in enumerate(moments):
        if who in seen and last - began >= _EARLY * shortest and last < time:
            ends.append(last)
            began, waited, seen = last, seen, set()
        seen.add(who)
        last = time
        alone = index + 1 == len(moments) or moments[index + 1][0] > time
        if alone and seen >= waited and time - began >= _EARLY * shortest:
            ends.append(time)
            began, waited, seen = time, seen, set()
    return Rounds(start, tuple(ends))


def _number_targets(times: ScrapeTimes) -> Iterable[tuple[int, Sequence[float]]]:
    """Targets by number: labels that are missing cannot be ordered."""
    return enumerate(times.values())
