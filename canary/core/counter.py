"""One cumulative counter, step by step: what it has counted, and whether it can be one counter.

A counter that falls was restarted, and has counted its new value since. That is so only where the
new value is about zero. A counter that falls and soon is back above its earlier value was never
restarted: several processes answer in turn at one address (workers of gunicorn without a shared
directory), or several Prometheus do. Example, two workers: 15,372 → 3,384 → 15,412 → 3,420. Taken
for restarts these are 30,000 requests in fifteen seconds; in truth there were 80.
"""

from collections.abc import Sequence

_SOON = 3
"""Samples within which a counter that was really restarted cannot be back where it was."""
_WINDOW = 20
"""Samples in which returns are counted together."""
_RETURNS = 3
"""So many returns are no accident."""
_BURST = 10.0
"""A restarted counter has counted at most so many times what it usually does in that time …"""
_FEW = 50.0
"""… and so many more: with few requests nothing is usual."""


class Counter:
    """Follows one counter. Give it its samples in order of time.

    `jumpy`: it fell and came back at least three times within twenty samples.
    """

    __slots__ = (
        "_age",
        "_began",
        "_counted",
        "_index",
        "_odd",
        "_returns",
        "_time",
        "_top",
        "_value",
        "jumpy",
    )

    def __init__(self, time: float, value: float) -> None:
        self._began = self._time = time
        self._value = value
        self._counted = 0.0
        self._top = 0.0
        self._age = 0
        self._odd = False
        self._index = 0
        self._returns: tuple[int, ...] = ()
        self.jumpy = False

    def step(self, time: float, value: float) -> float:
        """What was counted since the last sample; 0 where a fall cannot be explained."""
        self._index += 1
        increase = value - self._value
        if value < self._value:
            self._odd = not self._restarted(time, value)
            increase = 0.0 if self._odd else value
            self._top, self._age = max(self._top, self._value), 0
        elif self._top and value >= self._top:
            self._returned()
            increase = value - self._top if self._odd else increase
            self._top = 0.0
        self._age += 1
        if self._age > _SOON:
            self._top = 0.0
        self._time, self._value = time, value
        self._counted += increase
        return increase

    @property
    def restarted(self) -> bool:
        """Whether the last step was a restart."""
        return self._age == 1 and self._top > 0.0 and not self._odd

    def restart(self) -> None:
        """The process began anew, as another of its counters shows."""
        self._value = 0.0

    def _restarted(self, time: float, value: float) -> bool:
        """About zero: at most half of what it was, and what may have come since then."""
        seconds = self._time - self._began
        if value * 2 > self._value:
            return False
        if seconds <= 0:
            return True
        usual = self._counted * max(1 / self._index, (time - self._time) / seconds)
        return value <= _FEW + _BURST * usual

    def _returned(self) -> None:
        recent = (one for one in self._returns if one > self._index - _WINDOW)
        self._returns = (*recent, self._index)
        self.jumpy = self.jumpy or len(self._returns) >= _RETURNS


def never_falls(points: Sequence[tuple[float, float]]) -> bool:
    """Whether a counter never falls."""
    values = [value for _, value in points]
    return values == sorted(values)
