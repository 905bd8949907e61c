"""The outage rule: most of the canary's requests fail right now. A fixed rule besides the bets."""

import math
from collections.abc import Iterator

from canary.core.evidence.baseline import WINDOWS, Baseline
from canary.core.evidence.policy import Interval, RatioPolicy

_SHARE_BAD = 0.5
_TOTAL = 0.7
_SAMPLES = 2
_LEAST_BAD = 10.0
_LEAST_CLUMPS = 7.0
_PROVEN = 10.0
_EXCUSED_SHARE = 0.3
_SURE = 12.0
_SPARED_CLUMPS = 10.0


class Outage:
    """An outage: at least half of the canary's requests fail in two consecutive samples.

    All of these conditions must hold:

    * The run has at least 10 bad requests and 7 clumps of errors (pods with hiccups cause large
      clumps), and stable is below its limit in the run and in the last minute.
    * Chance does not explain the errors: at stable's rate and clump size their probability is below
      e^-12, and stable had at least 10 clumps' worth of requests in which to show errors.
    * The run is longer than `toleratedIncident` if it may be a hiccup. It may be one if the canary
      was healthy before (in 10 requests) and has at most 30 % of the traffic; above 30 % a needless
      retry costs less than more failed requests. At any weight it may be one if less than 70 % of
      the canary's requests fail: a hiccup of one of two pods fails half of them.

    If stable got no requests in the run because the canary gets all traffic, stable's history is
    used instead. An outage of both versions looks the same then, but the canary fails the users.
    The canary gets all traffic if its requests are more than 30 % of the sum of them and those that
    stable usually gets in that time. Otherwise stable's samples are missing: not an outage.

    For example: 10 % of 100 requests/s go to the canary, and in two samples of 5 s it fails 45 of
    50 and 48 of 50 requests, while stable fails none. That is an outage at once if the canary never
    worked, and after `toleratedIncident` if it was healthy before.
    """

    __slots__ = ("_bad", "_before", "_excused", "_samples", "_stable", "_start", "_total")

    def __init__(self) -> None:
        self._before = (0.0, 0.0)
        self._samples = 0
        self._start = 0.0
        self._total = self._bad = 0.0
        self._stable = (0.0, 0.0)
        self._excused = False

    def add_interval(self, interval: Interval, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Add a sample with canary requests (not in `baseline` yet).

        Return whether this is an outage.
        """
        total, bad = interval.canary_total, interval.canary_bad
        if bad < _SHARE_BAD * total:
            # One better sample ends the run. The bets handle errors that come and go.
            seen, seen_bad = self._before
            self._before = (seen + self._total + total, seen_bad + self._bad + bad)
            if self._samples:
                self._samples, self._total, self._bad, self._stable = 0, 0.0, 0.0, (0.0, 0.0)
            return False
        if self._samples == 0:
            self._start = interval.start
            seen, seen_bad = self._before
            self._excused = seen >= _PROVEN and seen_bad < _SHARE_BAD * seen
        self._samples += 1
        self._total += total
        self._bad += bad
        stable, stable_bad = self._stable
        self._stable = (stable + interval.stable_total, stable_bad + interval.stable_bad)
        if self._samples < _SAMPLES or self._bad < _LEAST_BAD:
            return False
        return self._beyond_doubt(interval, baseline, policy)

    def _beyond_doubt(self, interval: Interval, baseline: Baseline, policy: RatioPolicy) -> bool:
        seen = self._stable[0]
        if seen <= 0.0:
            if not self._has_all_traffic(interval.end, baseline):
                return False
            seen = baseline.total
        rate = self._stable_rate(interval, baseline)
        if rate >= policy.unhealthy or self._bad < _LEAST_CLUMPS * baseline.clump():
            return False
        # Until clumps are measured, errors are assumed to come in pairs.
        clump = baseline.clump_or(2.0)
        return (
            seen >= _SPARED_CLUMPS * clump
            and self._measure_surprise(rate, baseline, policy) >= _SURE * clump
            and not self._may_be_hiccup(interval, policy)
        )

    def _has_all_traffic(self, now: float, baseline: Baseline) -> bool:
        """Return whether stable has no requests because the canary has all of them."""
        usual = baseline.pace(now, 60.0) * (now - self._start)
        return self._total > _EXCUSED_SHARE * (self._total + usual)

    def _stable_rate(self, interval: Interval, baseline: Baseline) -> float:
        """Return stable's share of bad requests: the maximum of run, sample and recent history."""
        stable, stable_bad = self._stable
        if stable <= 0.0:
            return max(baseline.rate(interval.end, seconds) for seconds in WINDOWS)
        rate = max(stable_bad / stable, *(baseline.rate(interval.end, s) for s in WINDOWS[:2]))
        if interval.stable_total > 0.0:
            rate = max(rate, interval.stable_bad / interval.stable_total)
        return rate

    def _measure_surprise(self, rate: float, baseline: Baseline, policy: RatioPolicy) -> float:
        """Return −log of the probability of this many bad requests at stable's rate (Chernoff)."""
        # A short run without stable errors says little, so the long-run rate is the minimum.
        rate = max(rate, baseline.long_run()) if baseline.total > 0.0 else rate
        expected = self._total * max(policy.tolerance * rate, rate + policy.floor)
        if self._bad <= expected:
            return 0.0
        return self._bad * math.log(self._bad / expected) - (self._bad - expected)

    def _may_be_hiccup(self, interval: Interval, policy: RatioPolicy) -> bool:
        """Return whether this may still be a hiccup of a canary that was healthy before."""
        requests = interval.canary_total + interval.stable_total
        small = self._excused and interval.canary_total <= _EXCUSED_SHARE * requests
        partial = self._bad < _TOTAL * self._total
        return (small or partial) and interval.end - self._start <= policy.tolerated_incident + 1e-9

    def dump(self) -> list[float]:
        """Return the state as numbers."""
        run = (float(self._samples), self._start, self._total, self._bad, *self._stable)
        return [*self._before, *run, float(self._excused)]

    def load(self, numbers: Iterator[float]) -> None:
        """Restore the numbers of `dump`."""
        self._before = (next(numbers), next(numbers))
        self._samples, self._start = int(next(numbers)), next(numbers)
        self._total, self._bad = next(numbers), next(numbers)
        self._stable = (next(numbers), next(numbers))
        self._excused = bool(next(numbers))
