"""Finds the rounds of scrapes: the intervals of the analysis.

Prometheus scrapes each target at its own time within the scrape interval. A round ends when every
target of the canary was scraped in it. By then each target, including stable's, was scraped about
once since the last round, so both versions are counted over the same time without further waiting.
For example, canary pods are scraped at 1.2, 6.2, … and 3.7, 8.7, …; rounds end at 3.7, 8.7, …, when
the numbers of the second pod arrive.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from canary.core.series import Series

_EARLY = 0.9
"""Scrapes jitter: this share of the shortest interval is enough."""
_ALIVE = 2.5
"""Scrape intervals after which a round no longer waits for a target."""
_GAPS = 20


@dataclass(frozen=True, slots=True)
class Rounds:
    """Intervals `(start, ends[0]], (ends[0], ends[1]], …` in seconds; empty without scrapes."""

    start: float
    ends: tuple[float, ...] = ()

    @property
    def end(self) -> float:
        """End of the last complete round."""
        return self.ends[-1] if self.ends else self.start

    def times(self) -> tuple[float, ...]:
        """Return the start and all ends, ascending."""
        return (self.start, *self.ends)

    def until(self, end: float) -> "Rounds":
        """Return the rounds that end by `end`."""
        return Rounds(self.start, tuple(one for one in self.ends if one <= end))


ScrapeTimes = Mapping[Hashable, Sequence[float]]
"""Times of each target's scrapes, ascending."""


def collect_scrape_times(series: Iterable[Series]) -> dict[Hashable, list[float]]:
    """Return the scrape times of each target; all series of one scrape have its time."""
    longest: dict[Hashable, Series] = {}
    for one in series:
        target = target_key(one.labels)
        if target not in longest or len(one.points) > len(longest[target].points):
            longest[target] = one
    return {target: [time for time, _ in one.points] for target, one in longest.items()}


def target_key(labels: Mapping[str, str]) -> Hashable:
    """Return the identity of a target: pod, instance and job."""
    return labels.get("pod"), labels.get("instance"), labels.get("job")


def find_scrape_interval(times: ScrapeTimes) -> float | None:
    """Return the median time between two scrapes of a target in seconds; None if unknown."""
    gaps = [b - a for one in times.values() for a, b in pairwise(one[-_GAPS:])]
    return median(gaps) if gaps else None


def find_rounds(times: ScrapeTimes, start: float, end: float, shortest: float) -> Rounds:
    """Return the rounds of these targets between `start` and `end`, none shorter than `shortest`.

    A round that waits for a missing target ends when another target is scraped again.
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
    """Return the targets by number: missing labels have no order."""
    return enumerate(times.values())
