"""What became of the requests, in a shape that adds up: seconds, workers, stages."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

_MAX_SECONDS = 3600
_DIGITS = 3


class LatencyHistogram:
    """Durations from 1 µs to 1 h to three digits (HdrHistogram); any number of them in 180 KiB."""

    def __init__(self, encoded: bytes | None = None) -> None:
        self._hdr = (
            HdrHistogram.decode(encoded)
            if encoded
            else HdrHistogram(1, _MAX_SECONDS * 1_000_000, _DIGITS)
        )

    def add(self, seconds: float) -> None:
        """Count one."""
        self._hdr.record_value(min(max(1, round(seconds * 1e6)), _MAX_SECONDS * 1_000_000))

    def merge(self, other: "LatencyHistogram") -> None:
        """Count all of another's."""
        self._hdr.add(other._hdr)  # noqa: SLF001 - of the same class

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._hdr.get_total_count())

    def quantile(self, share: float) -> float:
        """Seconds that `share` (0–1) of them did not exceed; 0 when there are none."""
        if not self.count:
            return 0.0
        return float(self._hdr.get_value_at_percentile(100 * share)) / 1e6

    @property
    def longest(self) -> float:
        """Seconds; 0 when there are none."""
        return float(self._hdr.get_max_value()) / 1e6 if self.count else 0.0

    @property
    def mean(self) -> float:
        """Seconds; 0 when there are none."""
        return float(self._hdr.get_mean_value()) / 1e6 if self.count else 0.0

    def __reduce__(self) -> tuple[Callable[[bytes], "LatencyHistogram"], tuple[bytes]]:
        """Travels between processes in HdrHistogram's own compressed form."""
        return LatencyHistogram, (self._hdr.encode(),)


@dataclass(slots=True)
class RequestTally:
    """Requests of one stretch of time. `due` = `unsent` + sent; sent = `ok` + `failed` + flying."""

    due: int = 0
    unsent: int = 0
    """Due while `max_in_flight` others had no answer: not sent, neither ok nor failed."""
    late: int = 0
    """Sent more than `LATE_SECONDS` seconds after they were due: the generator's fault."""
    ok: int = 0
    failed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """By HTTP status, or by what happened instead: `timeout`, `refused`, `reset` …"""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """From the time a request was due to its last byte; answers and time-outs."""
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    """From the time a request was due to when it was sent: the generator's own delay."""

    @property
    def over(self) -> int:
        """Requests that were sent and are over."""
        return self.ok + self.failed

    @property
    def error_ratio(self) -> float:
        """Failed ones as a share (0–1) of those that are over; 0 when none is."""
        return self.failed / self.over if self.over else 0.0

    @property
    def offered_ratio(self) -> float:
        """Share (0–1) of the due requests that were sent, and in time; 1 when none was due."""
        return 1 - (self.unsent + self.late) / self.due if self.due else 1.0

    def merge(self, other: "RequestTally") -> None:
        """Count all of another's."""
        self.due += other.due
        self.unsent += other.unsent
        self.late += other.late
        self.ok += other.ok
        self.failed += other.failed
        self.statuses.update(other.statuses)
        self.latency.merge(other.latency)
        self.lag.merge(other.lag)


LATE_SECONDS = 0.1
"""Seconds."""


def sum_tallies(*tallies: RequestTally) -> RequestTally:
    """A new tally of all of them."""
    result = RequestTally()
    for tally in tallies:
        result.merge(tally)
    return result
