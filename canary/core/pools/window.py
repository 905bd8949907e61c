"""A pool over a sliding window, in a bounded number of blocks.

Example, a window of 600 s: 20 blocks of 30 s. A block closes with the first sample at or after its
30 s, so a block may be longer, and the state of a pool never has more than 21 blocks.

A pool of 20 connections at 20 requests/s, of which requests use 10, loses one every 100 s. After
600 s the average of 13.0 in use minus 10 returned is 3.0 lost (the number at the middle of the
window), with a standard error of √(10/120) = 0.29. The older half has 1.5 lost, the newer one 4.5.
The slope is (4.5 − 1.5)/300 = 0.01 per second, so 1 connection per 20/0.01 = 2,000 requests. 16 of
20 are in use at the end, so the pool is exhausted after another 4/0.01 = 400 s.
"""

import math
from dataclasses import dataclass, field, replace

from canary.core.pools.samples import PoolReading
from canary.text.format import rough_duration

BLOCKS = 20
"""Number of blocks in a window."""
SHORT = (2, 3, 4, 5)
"""Numbers of blocks over which fast leaks are estimated: up to a quarter of the window."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the window: samples, seconds, and connection-seconds in use and returned.

    `floor` is the minimum number of connections in use, `requests` the number that the pool served,
    `spread` the variance of (used − held) between pods, which only stable's average has.
    """

    samples: float = 0.0
    seconds: float = 0.0
    used: float = 0.0
    held: float = 0.0
    floor: float = 0.0
    requests: float = 0.0
    spread: float = 0.0

    def add_reading(self, reading: PoolReading, requests: float, spread: float) -> "Block":
        """Add one reading; without hold times every connection counts as returned."""
        used = reading.in_use * reading.seconds
        return Block(
            self.samples + 1,
            self.seconds + reading.seconds,
            self.used + used,
            self.held + (used if reading.held is None else reading.held),
            min(self.floor, reading.in_use) if self.samples else reading.in_use,
            self.requests + requests,
            self.spread + spread,
        )


@dataclass(frozen=True, slots=True)
class WindowEstimate:
    """Number of connections taken and not returned over some blocks, and its standard error.

    The sampled number in use varies at least like a Poisson number around the number that
    throughput explains. The variance between stable's pods shows how much more it varies, for
    example with jobs that take minutes.
    """

    seconds: float
    residual: float
    error: float
    requests: float


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """One pool: its last `BLOCKS` closed blocks, the open one, and durations of conditions.

    `over` is the number of consecutive samples above the limit. `waiting` and `leaking` are the
    seconds for which callers have been waiting and a leak has been indicated without interruption.
    """

    name: str
    first: float
    last: float = 0.0
    blocks: tuple[Block, ...] = ()
    open: Block = field(default_factory=Block)
    in_use: float = 0.0
    maximum: float = 0.0
    over: int = 0
    waiting: float = 0.0
    leaking: float = 0.0

    def add_reading(
        self, reading: PoolReading, requests: float, block: float, spread: float = 0.0
    ) -> "SlidingWindow":
        """Add one reading; the open block closes once it is `block` seconds long."""
        # A block ends with a sample and not at a fixed time. Otherwise a scrape would be divided
        # between two blocks, and `used` and `held` would not cover the same time.
        grown = self.open.add_reading(reading, requests, spread)
        closes = grown.seconds >= block
        return replace(
            self,
            blocks=(*self.blocks, grown)[-BLOCKS:] if closes else self.blocks,
            open=Block() if closes else grown,
            in_use=reading.in_use,
            maximum=reading.maximum or 0.0,
        )

    @property
    def closed(self) -> bool:
        """Whether the last reading closed a block, so that there is a new estimate."""
        return bool(self.blocks) and self.open.samples == 0

    def estimate_leak(self, newest: int, skip: int = 0) -> WindowEstimate | None:
        """Estimate over `newest` blocks before the last `skip` ones; None if there are fewer."""
        end = len(self.blocks) - skip
        return (
            _estimate_window(self.blocks[max(end - newest, 0) : end]) if end >= newest > 0 else None
        )

    def lowest_in_use(self, newest: int, skip: int = 0) -> float:
        """Return the minimum number in use over the same blocks as `estimate_leak`."""
        end = max(len(self.blocks) - skip, 0)
        return min((b.floor for b in self.blocks[max(end - newest, 0) : end]), default=0.0)

    @property
    def served(self) -> float:
        """Requests per second over all blocks."""
        look = self.estimate_leak(len(self.blocks))
        return look.requests / look.seconds if look else 0.0

    def loss_per_second(self) -> float:
        """Return the connections lost per second: the rise from the older half to the newer half.

        For a steady leak, the residual of some blocks is the number lost at their middle.
        """
        half = len(self.blocks) // 2
        old, new = self.estimate_leak(half, half), self.estimate_leak(half)
        if not half or old is None or new is None:
            return 0.0
        return 2 * (new.residual - old.residual) / (new.seconds + old.seconds)


def _estimate_window(blocks: tuple[Block, ...]) -> WindowEstimate:
    seconds = sum(b.seconds for b in blocks)
    explained = sum(b.held for b in blocks) / seconds
    residual = (sum(b.used for b in blocks) / seconds) - explained
    # The number of connections taken independently of each other is Poisson, so the variance of
    # one sample equals its mean. The larger error is used: the variance between pods includes jobs
    # that take minutes, but with fewer than two stable pods there is none.
    poisson = max(explained, 0.0) / sum(b.samples for b in blocks)
    error = math.sqrt(max(poisson, sum(b.spread for b in blocks) / seconds**2))
    return WindowEstimate(seconds, residual, error, sum(b.requests for b in blocks))


@dataclass(frozen=True, slots=True)
class LeakRate:
    """The leak of a pool: requests per lost connection, and seconds until the pool is exhausted."""

    requests_per_leak: float | None
    empty_in: float | None
    sentence: str


def estimate_leak_rate(track: SlidingWindow) -> LeakRate:
    """Estimate the leak from the window; without an estimate, the figures are None.

    The time to exhaustion is (maximum − in use) / slope of the residual.
    """
    slope = track.loss_per_second()
    look = track.estimate_leak(len(track.blocks))
    # Connections that were all lost at one time have no rate; only their number is reported.
    if slope <= 0 or look is None:
        held = look.residual if look else 0.0
        return LeakRate(None, None, f"has {held:.1f} connections that it does not return")
    per_leak = track.served / slope if track.served else None
    empty_in = max(track.maximum - track.in_use, 0.0) / slope if track.maximum else None
    what = "leaks 1 connection per "
    what += (
        f"{_round_to_two_digits(per_leak):,} requests"
        if per_leak
        else f"{rough_duration(1 / slope)}"
    )
    if empty_in is not None:
        what += f"; the pool of {track.maximum:.0f} is empty in {rough_duration(empty_in)}"
    return LeakRate(per_leak, empty_in, what)


def _round_to_two_digits(value: float) -> int:
    return max(int(float(f"{value:.2g}")), 1)
