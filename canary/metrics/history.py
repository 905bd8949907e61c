"""Keeps scraped samples for a while, and reads them back as Prometheus does."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from canary.core.increments import Grid

LOOKBACK = 300.0
"""Seconds for which Prometheus uses a series' last sample as its current value."""

Labels = tuple[tuple[str, str], ...]
Groups = dict[tuple[str, ...], dict[float, float]]


class History:
    """Samples of one series, ascending in time; None is Prometheus' staleness marker."""

    __slots__ = ("_times", "_values", "labels")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self._times: list[float] = []
        self._values: list[float | None] = []

    def __len__(self) -> int:
        return len(self._times)

    @property
    def live(self) -> bool:
        """Return whether the last scrape contained the series."""
        return bool(self._values) and self._values[-1] is not None

    @property
    def last(self) -> float:
        """Return the time of the last sample or marker, in seconds."""
        return self._times[-1]

    def add(self, t: float, value: float | None) -> None:
        """Add a sample, or None for the end of the series; ignored unless newer than the last."""
        if not self._times or t > self._times[-1]:
            self._times.append(t)
            self._values.append(value)

    def forget(self, before: float) -> None:
        """Drop older samples, in large pieces, but never the last one."""
        cut = bisect_right(self._times, before) - 1
        if cut > len(self._times) // 4:
            del self._times[:cut], self._values[:cut]

    def value_at(self, t: float) -> float | None:
        """Return the value at t: that of the last sample within the lookback, unless it ended."""
        i = bisect_right(self._times, t) - 1
        return self._values[i] if i >= 0 and t - self._times[i] < LOOKBACK else None

    def samples_between(self, start: float, end: float) -> tuple[tuple[float, float], ...]:
        """Return every finite sample from `start` to `end`, as scraped."""
        first, last = bisect_left(self._times, start), bisect_right(self._times, end)
        pairs = zip(self._times[first:last], self._values[first:last], strict=True)
        return tuple((t, v) for t, v in pairs if v is not None and math.isfinite(v))

    def says_nothing(self, start: float, end: float) -> bool:
        """Return whether the newest sample from `start` to `end` is NaN or infinite."""
        last = bisect_right(self._times, end) - 1
        value = self._values[last] if last >= 0 and self._times[last] >= start else None
        return value is not None and not math.isfinite(value)


def sum_histories(series: Iterable[History], by: Sequence[str], grid: Grid) -> Groups:
    """Return `sum by (by…)` on the grid; a group has no entry where no series has a value."""
    groups: Groups = {}
    times = grid.times()
    for one in series:
        values = groups.setdefault(tuple(one.labels.get(label, "") for label in by), {})
        for t in times:
            if (value := one.value_at(t)) is not None:
                values[t] = values.get(t, 0.0) + value
    return groups


def select_finite(values: Mapping[float, float]) -> tuple[tuple[float, float], ...]:
    """Return points in ascending time, without NaN and infinities."""
    return tuple((t, v) for t, v in sorted(values.items()) if math.isfinite(v))
