"""Counts and latencies of requests, which add up over seconds, workers and stages."""

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
        """Add one duration in seconds."""
        self._hdr.record_value(min(max(1, round(seconds * 1e6)), _MAX_SECONDS * 1_000_000))

    def merge(self, other: "LatencyHistogram") -> None:
        """Add all durations of another histogram."""
        self._hdr.add(other._hdr)  # noqa: SLF001 - of the same class

    @property
    def count(self) -> int:
        """Number of durations."""
        return int(self._hdr.get_total_count())

    def quantile(self, share: float) -> float:
        """Return the seconds that `share` (0–1) of the durations do not exceed; 0 if empty."""
        if not self.count:
            return 0.0
        return float(self._hdr.get_value_at_percentile(100 * share)) / 1e6

    @property
    def longest(self) -> float:
        """Longest duration in seconds; 0 if empty."""
        return float(self._hdr.get_max_value()) / 1e6 if self.count else 0.0

    @property
    def mean(self) -> float:
        """Mean duration in seconds; 0 if empty."""
        return float(self._hdr.get_mean_value()) / 1e6 if self.count else 0.0

    def __reduce__(self) -> tuple[Callable[[bytes], "LatencyHistogram"], tuple[bytes]]:
        """Pickle in HdrHistogram's compressed form."""
        return LatencyHistogram, (self._hdr.encode(),)


@dataclass(slots=True)
class RequestTally:
    """Requests of one period: `due` = `unsent` + sent, and sent = `ok` + `failed` + in flight."""

    due: int = 0
    unsent: int = 0
    """Due while `max_in_flight` others had no answer: not sent, neither ok nor failed."""
    late: int = 0
    """Sent more than `LATE_SECONDS` after they were due: the generator's fault."""
    ok: int = 0
    failed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """Count by HTTP status, or by failure: `timeout`, `refused`, `reset` …"""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """Time from when a request was due to its last byte; of answers and timeouts."""
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    """Time from when a request was due to when it was sent: the generator's own delay."""

    @property
    def over(self) -> int:
        """Completed requests."""
        return self.ok + self.failed

    @property
    def error_ratio(self) -> float:
        """Failed share (0–1) of the completed requests; 0 if there are none."""
        return self.failed / self.over if self.over else 0.0

    @property
    def offered_ratio(self) -> float:
        """Share (0–1) of the due requests that were sent in time; 1 if none was due."""
        return 1 - (self.unsent + self.late) / self.due if self.due else 1.0

    def merge(self, other: "RequestTally") -> None:
        """Add another tally."""
        self.due += other.due
        self.unsent += other.unsent
        self.late += other.late
        self.ok += other.ok
        self.failed += other.failed
        self.statuses.update(other.statuses)
        self.latency.merge(other.latency)
        self.lag.merge(other.lag)


LATE_SECONDS = 0.1
"""Seconds after which a request counts as sent late."""


def sum_tallies(*tallies: RequestTally) -> RequestTally:
    """Return the sum of the tallies."""
    result = RequestTally()
    for tally in tallies:
        result.merge(tally)
    return result
