"""Reads one cumulative counter sample by sample, and detects restarts and mixed counters.

A counter that falls to about zero was restarted, and its new value was counted since. A counter
that falls and soon exceeds its earlier value was not restarted: several processes share one address
(gunicorn workers without a shared directory), or several Prometheus servers do. Example, two
workers: 15,372 → 3,384 → 15,412 → 3,420. Read as restarts these are 30,000 requests in fifteen
seconds; there were 80.
"""

from collections.abc import Sequence

_SOON = 3
"""Samples after a restart within which the counter cannot reach its earlier value."""
_WINDOW = 20
"""Samples over which returns are counted."""
_RETURNS = 3
"""This many returns are not a coincidence."""
_BURST = 10.0
"""A restarted counter has at most this many times its usual increase …"""
_FEW = 50.0
"""… plus this many requests: with few requests the usual increase is not known."""


class Counter:
    """Tracks one counter; `add_sample` takes its samples in order of time.

    `jumpy`: the value fell and returned at least three times within twenty samples.
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

    def add_sample(self, time: float, value: float) -> float:
        """Return the increase since the last sample; 0 after a fall that is not a restart."""
        self._index += 1
        increase = value - self._value
        if value < self._value:
            self._odd = not self._has_restarted(time, value)
            increase = 0.0 if self._odd else value
            self._top, self._age = max(self._top, self._value), 0
        elif self._top and value >= self._top:
            self._note_return()
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
        """Treat the next sample as the first after a restart, which another counter has shown."""
        self._value = 0.0

    def _has_restarted(self, time: float, value: float) -> bool:
        """Return whether the value is about zero: at most half of the last, a usual increase."""
        seconds = self._time - self._began
        if value * 2 > self._value:
            return False
        if seconds <= 0:
            return True
        usual = self._counted * max(1 / self._index, (time - self._time) / seconds)
        return value <= _FEW + _BURST * usual

    def _note_return(self) -> None:
        recent = (one for one in self._returns if one > self._index - _WINDOW)
        self._returns = (*recent, self._index)
        self.jumpy = self.jumpy or len(self._returns) >= _RETURNS


def never_falls(points: Sequence[tuple[float, float]]) -> bool:
    """Whether a counter never falls."""
    values = [value for _, value in points]
    return values == sorted(values)
