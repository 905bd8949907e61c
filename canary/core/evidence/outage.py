"""The outage rule: users are being failed now. A rule beside the bets, no claim of statistics."""

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
    """At least half of the canary's requests bad in two samples running, and stable well.

    * At least 10 bad requests in the run and 7 clumps of errors (a service whose pods have hiccups
      shows large clumps), stable below its limit in it and in the last minute.
    * More than a clump of errors: with stable's rate and clump size that many have a chance of
      less than e^-12, and stable had at least 10 clumps' worth of requests to show them as well.
    * Where all traffic has gone to the canary, stable's history speaks for it: a shared outage
      looks the same then, but it is the canary that fails the users. It has gone there if the
      canary has more than 30 % of what both had a moment ago; else stable was just not seen.
    * A canary that had been well (10 requests) and carries at most 30 % of the traffic is given
      the length of an incident: a hiccup of one pod looks just like that. At more than 30 % a
      needless retry costs less than the users. Less than 70 % bad is given that length at any
      weight: one of two pods in a hiccup is half of the requests.
    """

    __slots__ = ("_bad", "_before", "_excused", "_samples", "_stable", "_start", "_total")

    def __init__(self) -> None:
        self._before = (0.0, 0.0)
        self._samples = 0
        self._start = 0.0
        self._total = self._bad = 0.0
        self._stable = (0.0, 0.0)
        self._excused = False

    def step(self, interval: Interval, baseline: Baseline, policy: RatioPolicy) -> bool:
        """Takes in a sample with canary requests (not yet in `baseline`); True: an outage."""
        total, bad = interval.canary_total, interval.canary_bad
        if bad < _SHARE_BAD * total:
            # One better sample ends the run: what comes and goes is left to the bets.
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
        # Where clumps have not been measured, errors are taken to come in pairs.
        clump = baseline.clump_or(2.0)
        return (
            seen >= _SPARED_CLUMPS * clump
            and self._surprise(rate, baseline, policy) >= _SURE * clump
            and not self._waits(interval, policy)
        )

    def _has_all_traffic(self, now: float, baseline: Baseline) -> bool:
        """Whether stable, without a request in this run, has none because the canary has them."""
        usual = baseline.pace(now, 60.0) * (now - self._start)
        return self._total > _EXCUSED_SHARE * (self._total + usual)

    def _stable_rate(self, interval: Interval, baseline: Baseline) -> float:
        """Stable's share of bad requests: in the run, in this sample, and lately."""
        stable, stable_bad = self._stable
        if stable <= 0.0:
            return max(baseline.rate(interval.end, seconds) for seconds in WINDOWS)
        rate = max(stable_bad / stable, *(baseline.rate(interval.end, s) for s in WINDOWS[:2]))
        if interval.stable_total > 0.0:
            rate = max(rate, interval.stable_bad / interval.stable_total)
        return rate

    def _surprise(self, rate: float, baseline: Baseline, policy: RatioPolicy) -> float:
        """Minus the log of the chance of so many bad requests at stable's rate (Chernoff)."""
        # A short run without an error of stable's says little: its long run is the least.
        rate = max(rate, baseline.long_run()) if baseline.total > 0.0 else rate
        expected = self._total * max(policy.tolerance * rate, rate + policy.floor)
        if self._bad <= expected:
            return 0.0
        return self._bad * math.log(self._bad / expected) - (self._bad - expected)

    def _waits(self, interval: Interval, policy: RatioPolicy) -> bool:
        """Whether this may still be the hiccup of a canary that has proven itself."""
        requests = interval.canary_total + interval.stable_total
        small = self._excused and interval.canary_total <= _EXCUSED_SHARE * requests
        partial = self._bad < _TOTAL * self._total
        return (small or partial) and interval.end - self._start <= policy.tolerated_incident + 1e-9

    def dump(self) -> list[float]:
        """All of it as numbers."""
        run = (float(self._samples), self._start, self._total, self._bad, *self._stable)
        return [*self._before, *run, float(self._excused)]

    def load(self, numbers: Iterator[float]) -> None:
        """What `dump` gave."""
        self._before = (next(numbers), next(numbers))
        self._samples, self._start = int(next(numbers)), next(numbers)
        self._total, self._bad = next(numbers), next(numbers)
        self._stable = (next(numbers), next(numbers))
        self._excused = bool(next(numbers))
