"""Stable's failure rate, with an upper bound, and how much stable's errors clump.

Example of the rate: in one hour stable failed 300 of 324,000 requests, 0.093 %. The bound is (300 +
3 + 2·√301)/324,000 = 0.104 %. If both versions now fail 5 % for half a minute, the bound is 5 % at
once, because the rates of the last 30, 60, 150 and 600 s count as well.

Example of clumps: blocks of 1,000 requests have 0, 0, 8, 0, 0, 8, 0, 0, 0, 8 errors. If errors were
independent, adjacent blocks would differ by about 2. These differ by 8 or not at all, so the
dispersion is 8: counting the errors one by one would count each event eight times.

Example of a single event: the same blocks, but with 0, 0, 16, 0, 0, 0, 0, 0, 0, 0 errors. The
dispersion is 16. The promotion test leaves the event out, because what happened once in an hour
says nothing about how the errors of another version would come: its clump size is 1.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator

WINDOWS = (30.0, 60.0, 150.0, 600.0)
RECENT = 600.0
_TRIM = 256
_CLUMPS_NEEDED = 20.0
_PAIRS_NEEDED = 8
_EPSILON = 1e-6
_EVENT_PAIRS = 4
"""Pairs of adjacent blocks in which the largest event is."""
_LARGEST_CLUMP = 8.0
"""Largest clump size for the promotion test."""


class Clumps:
    """How much errors clump, from the differences of adjacent blocks.

    Slow changes of the rate do not count as clumps.
    """

    __slots__ = ("_largest", "_last", "_rates", "_squares", "pairs")

    def __init__(self) -> None:
        self._last = (0.0, 0.0)
        # One event: a burst in one block is in two pairs, as are the start and the end of an
        # outage; a burst over three blocks is in four.
        self._largest = [(0.0, 0.0)] * _EVENT_PAIRS
        self._squares = 0.0
        self._rates = 0.0
        self.pairs = 0

    def add(self, total: float, bad: float) -> None:
        """Add one block of requests (total > 0)."""
        # Differences of neighbors have mean 0, so a slow change of the rate adds no dispersion.
        last_total, last_bad = self._last
        if last_total > 0.0:
            both = total + last_total
            difference = bad * last_total - last_bad * total
            square = difference * difference / (total * last_total * both)
            rate = (bad + last_bad) / both
            self._squares += square
            self._rates += rate
            self.pairs += 1
            if square > self._largest[-1][0]:
                self._largest = sorted((*self._largest, (square, rate)), reverse=True)[:-1]
        self._last = (total, bad)

    def dispersion(self) -> float:
        """Return the variance of errors per block relative to independent errors (≥ 1)."""
        return self._squares / self._rates if self._squares > self._rates > 0.0 else 1.0

    def recurring_dispersion(self) -> float:
        """Return the dispersion without the largest event (≥ 1)."""
        squares = self._squares - sum(square for square, _ in self._largest)
        rates = self._rates - sum(rate for _, rate in self._largest)
        return squares / rates if squares > rates > _EPSILON else 1.0

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        return [*self._last, self._squares, self._rates, float(self.pairs)]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`.

        No numbers, from an older version, leave the state empty.
        """
        self._last = (next(numbers, 0.0), next(numbers, 0.0))
        self._squares, self._rates = next(numbers, 0.0), next(numbers, 0.0)
        self.pairs = int(next(numbers, 0.0))

    def dump_largest(self) -> list[float]:
        """Return the largest event as numbers."""
        return [*(square for square, _ in self._largest), *(rate for _, rate in self._largest)]

    def load_largest(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump_largest`; no numbers mean no event."""
        squares = [next(numbers, 0.0) for _ in self._largest]
        self._largest = [(square, next(numbers, 0.0)) for square in squares]


class Baseline:
    """Totals over all of stable's history, and sums over its last ten minutes.

    Counts are whole numbers, so running totals are exact and a restored state gives the same bits.
    """

    __slots__ = (
        "_blocks",
        "_cum_bad",
        "_cum_total",
        "_incident",
        "_open",
        "_times",
        "_windows",
    )

    def __init__(self, incident: float = 0.0) -> None:
        self._times: list[float] = []
        self._cum_total = [0.0]
        self._cum_bad = [0.0]
        self._blocks = Clumps()
        # A hiccup of a pod is one clump even if it spans several blocks, so windows of the length
        # of an incident are measured as well.
        self._windows = Clumps()
        self._incident = incident
        self._open: tuple[float, float, float] | None = None

    @property
    def total(self) -> float:
        """Number of stable's requests so far."""
        return self._cum_total[-1]

    def add(self, end: float, total: float, bad: float) -> None:
        """Add one block of stable's requests (total > 0) that ended at `end`."""
        # With running totals the sum of any window is one subtraction.
        self._times.append(end)
        self._cum_total.append(self._cum_total[-1] + total)
        self._cum_bad.append(self._cum_bad[-1] + bad)
        self._blocks.add(total, bad)
        self._add_to_window(end, total, bad)
        if len(self._times) > _TRIM:
            self._drop_old_blocks(end)

    def _add_to_window(self, end: float, total: float, bad: float) -> None:
        if self._open is None:
            # The start of the first block is unknown, so windows start at its end.
            self._open = (end, 0.0, 0.0)
            return
        since, total_before, bad_before = self._open
        total, bad = total + total_before, bad + bad_before
        if end - since < self._incident - _EPSILON:
            self._open = (since, total, bad)
            return
        self._windows.add(total, bad)
        self._open = (end, 0.0, 0.0)

    def _drop_old_blocks(self, now: float) -> None:
        first = bisect_right(self._times, now - RECENT)
        del self._times[:first], self._cum_total[:first], self._cum_bad[:first]

    def latest(self) -> float:
        """Return the end (seconds) of stable's last block; 0 before the first."""
        return self._times[-1] if self._times else 0.0

    def rate(self, now: float, seconds: float) -> float:
        """Return the share of bad requests in the last `seconds`; 0 without requests."""
        total, bad = self.window(now, seconds)
        return bad / total if total > 0.0 else 0.0

    def window(self, now: float, seconds: float) -> tuple[float, float]:
        """Return requests and bad requests in the last `seconds`."""
        first = bisect_right(self._times, now - seconds + 1e-9)
        return (
            self._cum_total[-1] - self._cum_total[first],
            self._cum_bad[-1] - self._cum_bad[first],
        )

    def pace(self, now: float, seconds: float) -> float:
        """Return the requests per second in the last `seconds`; 0: none, or unknown."""
        first = bisect_right(self._times, now - seconds + 1e-9)
        # Without a recent earlier block the length of the first one is unknown.
        if not 0 < first < len(self._times) or self._times[first - 1] <= now - RECENT:
            return 0.0
        length = self._times[-1] - self._times[first - 1]
        return (self._cum_total[-1] - self._cum_total[first]) / length

    def long_run(self) -> float:
        """Return an upper bound of stable's rate over all history (two standard deviations)."""
        total, bad = self._cum_total[-1], self._cum_bad[-1]
        return (bad + 3.0 + 2.0 * math.sqrt(bad + 1.0)) / total if total > 0.0 else 1.0

    def mean(self) -> float:
        """Return stable's rate over all history; 0 without requests."""
        return self._cum_bad[-1] / self._cum_total[-1] if self._cum_total[-1] > 0.0 else 0.0

    def bound(self, now: float) -> float:
        """Return an upper bound of stable's rate that includes recent peaks.

        A fault that both versions share raises it at once, so it does not count against the canary.
        """
        bound = self.long_run()
        times, cum_total, cum_bad = self._times, self._cum_total, self._cum_bad
        last_total, last_bad = cum_total[-1], cum_bad[-1]
        for seconds in WINDOWS:
            first = bisect_right(times, now - seconds + 1e-9)
            total = last_total - cum_total[first]
            if total > 0.0 and last_bad - cum_bad[first] > bound * total:
                bound = (last_bad - cum_bad[first]) / total
        return bound

    def clump_and_dispersion(self) -> tuple[float, float]:
        """Return the size of error clumps (estimated high) and the dispersion of errors (≥ 1).

        The size is 0 if there were too few errors to estimate it. Both are measured per block or
        per window of an incident, whichever shows larger clumps.
        """
        clumps, dispersion = self._blocks, self._blocks.dispersion()
        if self._windows.pairs >= _PAIRS_NEEDED:
            in_windows = self._windows.dispersion()
            if in_windows > dispersion:
                clumps, dispersion = self._windows, in_windows
        # Estimated high: with too small a clump size one event would count as several.
        bad = self._cum_bad[-1]
        if clumps.pairs < _PAIRS_NEEDED or bad < _CLUMPS_NEEDED * dispersion:
            return 0.0, dispersion
        return _on_the_high_side(dispersion, 1.5, clumps.pairs, bad), dispersion

    def clump(self) -> float:
        """Return the size of clumps; 0 if there were too few errors to estimate it."""
        return self.clump_and_dispersion()[0]

    def clump_or(self, cautious: float) -> float:
        """Return the size of clumps; if unknown, at least `cautious`."""
        clump, dispersion = self.clump_and_dispersion()
        return clump or max(cautious, 1.5 * dispersion)

    def clump_for_promotion(self) -> float:
        """Return the size of clumps for the tests that exclude damage; 1 if stable had no error.

        One event in stable's past is left out, however large, and the size is at most 8: the tests
        take so many times more requests, and no clean canary may wait for hours because stable
        had an incident before the release. Rare and long events are what `min_duration` is for.
        """
        blocks, bad = self._blocks, self._cum_bad[-1]
        if bad <= 0.0:
            return 1.0
        dispersion = blocks.recurring_dispersion()
        size = _on_the_high_side(dispersion, 0.3, max(blocks.pairs, 1), max(bad, 1.0))
        return min(size, _LARGEST_CLUMP)

    def dump(self) -> list[float]:
        """Return the state as numbers, without that of the windows."""
        self._drop_old_blocks(self._times[-1] if self._times else 0.0)
        return [
            *self._blocks.dump(),
            float(len(self._times)),
            *self._times,
            *self._cum_total,
            *self._cum_bad,
        ]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        self._blocks.load(numbers)
        size = int(next(numbers))
        self._times = [next(numbers) for _ in range(size)]
        self._cum_total = [next(numbers) for _ in range(size + 1)]
        self._cum_bad = [next(numbers) for _ in range(size + 1)]

    def dump_windows(self) -> list[float]:
        """Return the state of the windows, and the largest event, as numbers."""
        opened = (0.0, 0.0, 0.0, 0.0) if self._open is None else (1.0, *self._open)
        return [*opened, *self._windows.dump(), *self._blocks.dump_largest()]

    def load_windows(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump_windows`; no numbers leave the state empty."""
        known, since, total, bad = (next(numbers, 0.0) for _ in range(4))
        self._open = (since, total, bad) if known else None
        self._windows.load(numbers)
        self._blocks.load_largest(numbers)


def _on_the_high_side(dispersion: float, deviations: float, pairs: int, bad: float) -> float:
    """Return the dispersion plus some standard errors; `pairs` and `bad` are its sample size."""
    return dispersion * (1.0 + deviations * math.sqrt(2.0 / pairs + dispersion / bad))
