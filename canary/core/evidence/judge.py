"""The evidence engine for bad requests: a pure fold over increments of counters.

Intervals without canary requests change nothing. `Fail` is permanent and has priority over `Pass`.
Folding all intervals at once, in parts, or through a stored state gives the same bits.

For example, at a scrape interval of 5 s each interval is one block. A block with bad requests
updates the bets; once their evidence reaches 1/falsePositiveRate and the pod windows agree, the
canary fails. A block without bad requests can only bring promotion closer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import add

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.bets import Bets, compute_fresh_capital
from canary.core.evidence.outage import Outage
from canary.core.evidence.overdispersion import Overdispersion, null_shares, tolerated_odds
from canary.core.evidence.pod_windows import PodWindows, PodWindowsState
from canary.core.evidence.policy import FailReason, Interval, PodCount, RatioPolicy, Stratum
from canary.core.evidence.promotion import Promotion
from canary.core.evidence.ratio import Ratio
from canary.core.evidence.replacement import ReplacementTest

_BLOCK = 5.0
_LEAST_BAD = 5.0
_STRADDLE = 0.1
_START_SLACK = 15.0
_SUSPICION = 10.0
_DEVIATIONS = 2.5
"""A canary pod may be so many standard deviations worse than the mean of stable's pods."""
_REASONS = tuple(FailReason)


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """The state of the evidence, as numbers and the names of pods and routes."""

    values: tuple[float, ...] = ()
    names: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()))
    windows: PodWindowsState | None = None
    open_pods: tuple[PodCount, ...] = ()
    open_routes: tuple[Stratum, ...] = ()
    """Counts of the incomplete block."""


class Judge:
    """The mutable engine behind `fold_intervals`, for callers that fold often."""

    __slots__ = (
        "_open",
        "_policy",
        "baseline",
        "bets",
        "failed",
        "first",
        "judged_bad",
        "outage",
        "overdispersion",
        "passing_since",
        "promotion",
        "ratio",
        "replacement",
        "totals",
        "windows",
    )

    def __init__(self, policy: RatioPolicy, state: EvidenceState | None = None) -> None:
        self._policy = policy
        self.baseline = Baseline(policy.tolerated_incident)
        self.bets = Bets()
        self.outage = Outage()
        self.promotion = Promotion()
        self.ratio = Ratio()
        self.replacement = ReplacementTest()
        self.overdispersion: Overdispersion | None = None
        self.first: float | None = None
        self.failed: tuple[float, FailReason] | None = None
        self.passing_since: float | None = None
        self.judged_bad = 0.0
        self.totals = (0.0, 0.0, 0.0, 0.0)
        self._open: Interval | None = None
        kept = None if state is None else state.windows
        self.windows = PodWindows(kept or PodWindowsState(policy.tolerated_incident))
        if state is not None and state.values:
            self._restore_state(state)

    def add_interval(self, interval: Interval) -> None:
        """Add the increments of one sampling interval; intervals are in order of time."""
        # Two counters are never read at exactly the same time, so `bad` may exceed the total.
        if interval.canary_bad > interval.canary_total or interval.stable_bad > (
            interval.stable_total
        ):
            interval = interval._replace(
                canary_bad=min(interval.canary_bad, interval.canary_total),
                stable_bad=min(interval.stable_bad, interval.stable_total),
            )
        start, end, canary, bad, stable, stable_bad, *_ = interval
        if self.first is None and canary > 0.0:
            self.first = max(start, end - _START_SLACK)
        if self.first is not None:
            a, b, c, d = self.totals
            self.totals = (a + canary, b + bad, c + stable, d + stable_bad)
            # Without stable an outage of this version looks like one of its dependencies.
            together = canary > 0.0 and not self._policy.alone
            if together and self.outage.add_interval(interval, self.baseline, self._policy):
                self._record_failure(end, FailReason.CANARY_OUTAGE)
        block = interval if self._open is None else _join_intervals(self._open, interval)
        if self._closes_block(block, interval):
            self._open = None
            self._evaluate_block(block)
        else:
            self._open = block
        # The guard takes intervals instead of blocks, because its windows end with scrapes.
        judged = canary > 0.0 and self._warmed_up(interval)
        if self.windows.add_interval(interval, self._policy, judged=judged):
            self._decide_failure(end)

    def _closes_block(self, block: Interval, last: Interval) -> bool:
        """Return whether the block is long enough and ends with canary requests.

        With more samples than scrapes most samples are empty. A block that ends with a scrape,
        instead of between two scrapes, is evaluated seconds earlier.
        """
        length = block.end - block.start
        if length < _BLOCK - 1e-6 or last.end - last.start >= _BLOCK - 1e-6:
            return length >= _BLOCK - 1e-6
        return last.canary_total > 0.0 or self.first is None or length >= 2 * _BLOCK - 1e-6

    def _record_failure(self, at: float, reason: FailReason) -> None:
        self.passing_since = None
        if self.failed is None:
            self.failed = (at, reason)

    def _evaluate_block(self, block: Interval) -> None:
        """Evaluate one block of at least five seconds."""
        start, end, canary, bad, stable, stable_bad, pods, strata, _ = block
        baseline, policy = self.baseline, self._policy
        # The clump size that weights a bet must be known before its outcome.
        clumps = baseline.clump_and_dispersion() if bad or stable_bad else (0.0, 1.0)
        if stable > 0.0:
            baseline.add(end, stable, stable_bad)
            if pods or strata:
                self.overdispersion = self.overdispersion or Overdispersion()
                self.overdispersion.add(end, pods, strata)
        if self.first is None or canary <= 0.0:
            return
        if not self._warmed_up(block):
            return
        since = start - self.first - policy.warm_up
        self.judged_bad += bad
        if stable > 0.0:
            self.ratio.add(canary, bad, stable, stable_bad)
            self.replacement.add(block, self.baseline, self._policy)
        # Without stable's requests there is nothing to bet against.
        if baseline.total > 0.0 or policy.alone:
            self._place_bets(block, clumps, max(since, 0.0) + end - start)
        if bad:
            # Evidence grows only with bad canary requests.
            self._decide_failure(end)
        self._update_promotion(block)

    def _warmed_up(self, block: Interval) -> bool:
        """Return whether the canary's requests of an interval count."""
        if self.first is None:
            return False
        # A block that overlaps the warm-up by at most a tenth of its length counts completely.
        since = block.start - self.first - self._policy.warm_up
        return since >= -_STRADDLE * (block.end - block.start)

    def _decide_failure(self, at: float) -> None:
        policy = self._policy
        if self.judged_bad < _LEAST_BAD or self.evidence() < 1.0 / policy.false_positive_rate:
            return
        # The failure is proven. The choice between the two reasons needs less evidence.
        above = policy.limit is not None and self.bets.limit_evidence() >= _SUSPICION
        self._record_failure(at, FailReason.ABOVE_LIMIT if above else FailReason.WORSE_THAN_STABLE)

    def _place_bets(self, block: Interval, clumps: tuple[float, float], since: float) -> None:
        start, end, canary, bad, stable, stable_bad = block[:6]
        baseline, bets, policy = self.baseline, self.bets, self._policy
        bets.add_capital(compute_fresh_capital(since, end - start))
        tolerance, mix = policy.tolerance, 1.0
        if self.overdispersion is not None:
            tolerance *= 1.0 + _DEVIATIONS * self.overdispersion.measure_pod_spread(clumps[0])
            mix = self.overdispersion.compare_route_mix(block.strata)
        if (bad or stable_bad) and stable > 0.0 and not policy.alone:
            odds = tolerated_odds(tolerance, baseline, end, policy.floor)
            share_bad, nulls = null_shares(odds, block)
            if nulls:
                bets.bet_on_share(share_bad, nulls, clumps)
        counts = (canary, bad, stable)
        bets.bet_on_rates((start, end), counts, baseline, policy, (tolerance, mix))

    def _update_promotion(self, block: Interval) -> None:
        promotion, policy = self.promotion, self._policy
        promotion.add(block, self.baseline, policy)
        if self.passing_since is not None and not block.canary_bad:
            return  # A block without bad canary requests never revokes a Pass.
        passing = (
            promotion.seconds >= policy.min_duration
            and self.failed is None
            and promotion.small_regression_excluded(self.baseline, policy)
            and (not self.suspicious() or promotion.recovered(self.baseline, policy))
        )
        if not passing:
            self.passing_since = None
        elif self.passing_since is None:
            self.passing_since = block.end

    def suspicious(self) -> bool:
        """Return whether there is too much evidence against the canary to promote it as it is."""
        return self.evidence() >= _SUSPICION

    def evidence(self) -> float:
        """Return the e-value against "no worse than tolerated", at most 1e15.

        It is the smaller one of the bets and the guard. The guard's wealth is scaled so that it
        reaches 1/false_positive_rate when it suffices.
        """
        policy = self._policy
        bets = self.bets.evidence(alone=policy.alone, limited=policy.limit is not None)
        return min(bets, self.windows.wealth / (self.windows.enough * policy.false_positive_rate))

    def state(self) -> EvidenceState:
        """Return a copy of the state."""
        failed = (0.0,) if self.failed is None else (1.0, self.failed[0])
        reason = () if self.failed is None else (float(_REASONS.index(self.failed[1])),)
        pending = (0.0,) if self._open is None else (1.0, *self._open[:6])
        spread = [0.0] if self.overdispersion is None else [1.0, *self.overdispersion.dump()]
        values = [
            *failed,
            *reason,
            *_write_optional(self.first),
            *_write_optional(self.passing_since),
        ]
        values += [self.judged_bad, *self.totals, *pending]
        for part in (self.baseline, self.bets, self.outage, self.promotion, self.ratio):
            values += part.dump()
        names = self.overdispersion.names() if self.overdispersion is not None else ((), ())
        values += [*spread, *self.replacement.dump(), *self.baseline.dump_windows()]
        values += self.promotion.dump_clean()
        windows = self.windows.state()
        if self._open is None:
            return EvidenceState(tuple(values), names, windows)
        return EvidenceState(tuple(values), names, windows, self._open.pods, self._open.strata)

    def _restore_state(self, state: EvidenceState) -> None:
        numbers = iter(state.values)
        if next(numbers):
            self.failed = (next(numbers), _REASONS[int(next(numbers))])
        self.first = _load_optional(numbers)
        self.passing_since = _load_optional(numbers)
        self.judged_bad = next(numbers)
        self.totals = (next(numbers), next(numbers), next(numbers), next(numbers))
        if next(numbers):
            start, end, canary, bad, stable, stable_bad = (next(numbers) for _ in range(6))
            self._open = Interval(
                start, end, canary, bad, stable, stable_bad, state.open_pods, state.open_routes
            )
        for part in (self.baseline, self.bets, self.outage, self.promotion, self.ratio):
            part.load(numbers)
        if next(numbers):
            self.overdispersion = Overdispersion()
            self.overdispersion.load(numbers, state.names)
        self.replacement.load(numbers)
        self.baseline.load_windows(numbers)
        self.promotion.load_clean(numbers)


def _write_optional(value: float | None) -> tuple[float, ...]:
    return (0.0,) if value is None else (1.0, value)


def _load_optional(numbers: Iterator[float]) -> float | None:
    if not next(numbers):
        return None
    return next(numbers)


def _join_intervals(first: Interval, second: Interval) -> Interval:
    """Return two adjacent intervals as one."""
    return Interval(
        first.start,
        second.end,
        first.canary_total + second.canary_total,
        first.canary_bad + second.canary_bad,
        first.stable_total + second.stable_total,
        first.stable_bad + second.stable_bad,
        tuple(PodCount(name, *n) for name, n in _by_name(first.pods + second.pods)),
        tuple(Stratum(name, *n) for name, n in _by_name(first.strata + second.strata)),
        # The canary's pods are not needed per block.
    )


def _by_name(every: Iterable[PodCount | Stratum]) -> Iterable[tuple[str, list[float]]]:
    """Yield the sum of the counts per name."""
    sums: dict[str, list[float]] = {}
    for name, *counts in every:
        before = sums.get(name)
        sums[name] = counts if before is None else list(map(add, before, counts))
    return sums.items()


def fold_intervals(
    state: EvidenceState, policy: RatioPolicy, intervals: Iterable[Interval]
) -> EvidenceState:
    """Return the state after `intervals`; the first state is `EvidenceState()`."""
    judge = Judge(policy, state)
    step = judge.add_interval
    for interval in intervals:
        step(interval)
    return judge.state()


def start_after_promotion(state: EvidenceState, policy: RatioPolicy) -> EvidenceState:
    """Return the state at the start of the bake: stable's history without the canary's."""
    judge = Judge(policy)
    before = Judge(policy, state)
    judge.baseline = before.baseline
    judge.windows = PodWindows(before.windows.calibration())
    return judge.state()
